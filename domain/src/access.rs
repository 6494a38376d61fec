//! What people do to access: the audit log of accounts and organizations. Events name people and keys
//! by their ids alone; no address, name, secret or hash is in any of them, so that a person can be
//! erased and the log stays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::current_version;
use crate::{ApiKeyId, InvitationId, Role, SessionId, Timestamp, UserId};

/// What has happened to an account. The aggregate has the person's id and no invariants of its own:
/// the tables of accounts keep those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum AccountEvent {
    /// Somebody has an account.
    AccountRegistered {
        /// Whether they run the installation.
        operator: bool,
    },
    /// They have another password; every session but the one that changed it has ended.
    PasswordChanged {},
    /// A refresh token was used twice: the session has ended, for one of the two was a thief.
    RefreshTokenReused {
        /// The session.
        session_id: SessionId,
    },
    /// They run the installation from now on, with whoever else does.
    OperatorGranted {},
    /// They do not run the installation any more.
    OperatorRevoked {},
    /// Everything that is known of them has been deleted.
    AccountErased {},
}

/// What has happened to who may do what in an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum OrganizationEvent {
    /// It exists, and somebody owns it.
    OrganizationCreated {
        /// The first owner.
        owner: UserId,
    },
    /// Somebody may join.
    MemberInvited {
        /// The invitation.
        invitation_id: InvitationId,
        /// What they may do then.
        role: Role,
    },
    /// An invitation is not good any more.
    InvitationWithdrawn {
        /// The invitation.
        invitation_id: InvitationId,
    },
    /// Somebody joined.
    MemberJoined {
        /// The person.
        user_id: UserId,
        /// What they may do.
        role: Role,
        /// What they were invited with.
        invitation_id: InvitationId,
    },
    /// A member may do something else.
    MemberRoleChanged {
        /// The person.
        user_id: UserId,
        /// What they may do now.
        role: Role,
    },
    /// A member does not belong to it any more.
    MemberRemoved {
        /// The person.
        user_id: UserId,
    },
    /// A program may act for it.
    ApiKeyCreated {
        /// The key.
        api_key_id: ApiKeyId,
        /// What it may do.
        role: Role,
        /// When it ends; none of one that does not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// A key is not good any more.
    ApiKeyRevoked {
        /// The key.
        api_key_id: ApiKeyId,
    },
    /// It has no member any more.
    OrganizationErased {},
}

/// An event of either aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AccessEvent {
    /// Of an account.
    Account(AccountEvent),
    /// Of an organization.
    Organization(OrganizationEvent),
}

impl AccountEvent {
    /// The aggregate type, as the store names it.
    pub const AGGREGATE: &'static str = "account";

    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AccountRegistered { .. } => "AccountRegistered",
            Self::PasswordChanged {} => "PasswordChanged",
            Self::RefreshTokenReused { .. } => "RefreshTokenReused",
            Self::OperatorGranted {} => "OperatorGranted",
            Self::OperatorRevoked {} => "OperatorRevoked",
            Self::AccountErased {} => "AccountErased",
        }
    }
}

impl OrganizationEvent {
    /// The aggregate type, as the store names it.
    pub const AGGREGATE: &'static str = "organization";

    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::OrganizationCreated { .. } => "OrganizationCreated",
            Self::MemberInvited { .. } => "MemberInvited",
            Self::InvitationWithdrawn { .. } => "InvitationWithdrawn",
            Self::MemberJoined { .. } => "MemberJoined",
            Self::MemberRoleChanged { .. } => "MemberRoleChanged",
            Self::MemberRemoved { .. } => "MemberRemoved",
            Self::ApiKeyCreated { .. } => "ApiKeyCreated",
            Self::ApiKeyRevoked { .. } => "ApiKeyRevoked",
            Self::OrganizationErased {} => "OrganizationErased",
        }
    }
}

impl AccessEvent {
    /// The aggregate type, as the store names it.
    #[must_use]
    pub fn aggregate(&self) -> &'static str {
        match self {
            Self::Account(_) => AccountEvent::AGGREGATE,
            Self::Organization(_) => OrganizationEvent::AGGREGATE,
        }
    }

    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Account(event) => event.name(),
            Self::Organization(event) => event.name(),
        }
    }

    /// The version of the event's shape, from the catalogue.
    #[must_use]
    pub fn version(&self) -> &'static str {
        current_version(self.aggregate(), self.name()).unwrap_or_default()
    }
}

impl From<AccountEvent> for AccessEvent {
    fn from(event: AccountEvent) -> Self {
        Self::Account(event)
    }
}

impl From<OrganizationEvent> for AccessEvent {
    fn from(event: OrganizationEvent) -> Self {
        Self::Organization(event)
    }
}
