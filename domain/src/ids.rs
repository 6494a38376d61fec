//! Identifiers, each a type of its own so that one cannot stand in for another.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

uuid_newtype! {
    /// One monitor. Also the id of its `health` aggregate.
    MonitorId
}
uuid_newtype! {
    /// Something that was said about a time of a monitor.
    AnnotationId
}
uuid_newtype! {
    /// One organization: the tenant that every event, row and message belongs to.
    OrganizationId
}
uuid_newtype! {
    /// One person with an account.
    UserId
}
uuid_newtype! {
    /// One session of a person: what begins with a sign-in and ends with a sign-out.
    SessionId
}
uuid_newtype! {
    /// One API key.
    ApiKeyId
}
uuid_newtype! {
    /// One invitation to an organization.
    InvitationId
}
uuid_newtype! {
    /// One check: a UUIDv5 of (monitor, region, slot), or a UUIDv7 for a check on demand.
    CheckId
}

uuid_newtype! {
    /// One secret that checks need, kept encrypted beside the log.
    SecretId
}

/// A place in the one order of a cell's events. The first event is at 1; 0 is before all of them.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Default,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Position(pub i64);

impl Position {
    /// The place before the first event.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
