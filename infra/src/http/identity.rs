//! Who asks.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use pulsetrail_domain::{ApiKeyId, OrganizationId, Role, SessionId, Timestamp, UserId};

use super::{Authenticator, Problem};

/// What a caller showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A person's access token, of a session.
    Session(SessionId),
    /// An API key: a program.
    ApiKey(ApiKeyId),
}

/// The caller of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The person; of an API key, who made it.
    pub user_id: UserId,
    /// The organization that everything in the request is scoped to.
    pub organization_id: OrganizationId,
    /// What they may do there.
    pub role: Role,
    /// Whether they run the installation. A key never does.
    pub operator: bool,
    /// What they showed.
    pub credential: Credential,
    /// When that ends by itself, if it does.
    pub ends_at: Option<Timestamp>,
}

impl Identity {
    /// Refuses callers that may only read.
    ///
    /// # Errors
    /// 403 for a viewer.
    pub fn may_write(&self) -> Result<(), Problem> {
        if self.role >= Role::Editor { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// Refuses callers that may not manage people and keys.
    ///
    /// # Errors
    /// 403 for anybody but an owner.
    pub fn may_manage(&self) -> Result<(), Problem> {
        if self.role >= Role::Owner { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// Refuses callers that do not run the installation.
    ///
    /// # Errors
    /// 403 for anybody but an operator.
    pub fn may_operate(&self) -> Result<(), Problem> {
        if self.operator { Ok(()) } else { Err(Problem::forbidden()) }
    }

    /// The session of a person; programs are refused.
    ///
    /// # Errors
    /// 403 for a key.
    pub fn session_id(&self) -> Result<SessionId, Problem> {
        match self.credential {
            Credential::Session(session_id) => Ok(session_id),
            Credential::ApiKey(_) => Err(Problem::forbidden()),
        }
    }
}

impl<S> FromRequestParts<S> for Identity
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // Asked once a request, however many extractors want to know.
        if let Some(identity) = parts.extensions.get::<Self>() {
            return Ok(*identity);
        }
        let identity = Authenticator::from_ref(state).identify(parts).await?;
        parts.extensions.insert(identity);
        Ok(identity)
    }
}
