//! What handlers read from a request besides its body.

use std::collections::HashMap;

use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use pulsetrail_domain::MonitorId;
use pulsetrail_infra::http::{AccessTokens, Identity, Problem};

/// A caller who may change things. Read before the body, so that nobody learns what is wrong with a
/// body that they may not send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer(pub(crate) Identity);

impl<S> FromRequestParts<S> for Writer
where
    AccessTokens: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let identity = Identity::from_request_parts(parts, state).await?;
        identity.may_write()?;
        Ok(Self(identity))
    }
}

/// The monitor that the path names. What is no id names no monitor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MonitorPath(pub(crate) MonitorId);

impl<S: Send + Sync> FromRequestParts<S> for MonitorPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        id.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// What the log keeps of a command besides its events: who asked, and in which request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Option<String>);

/// The longest request id that is kept, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

impl RequestId {
    /// The metadata of a command in this request.
    pub(crate) fn metadata(&self, identity: &Identity) -> HashMap<String, String> {
        let mut metadata = HashMap::from([
            ("actor".to_owned(), identity.user_id.to_string()),
            ("organization_id".to_owned(), identity.organization_id.to_string()),
        ]);
        if let Some(request_id) = &self.0 {
            metadata.insert("request_id".to_owned(), request_id.clone());
        }
        metadata
    }

    fn of(headers: &HeaderMap) -> Self {
        let id = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        // The log is for ever: it takes no text of any form and length.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let good =
            |id: &&str| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed);
        Self(id.filter(good).map(str::to_owned))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use pulsetrail_domain::{OrganizationId, UserId};
    use pulsetrail_infra::http::Role;

    use super::*;

    #[test]
    fn a_command_says_who_asked_and_in_which_request() {
        let identity = Identity {
            user_id: UserId(uuid::Uuid::from_u128(1)),
            organization_id: OrganizationId(uuid::Uuid::from_u128(2)),
            role: Role::Editor,
        };
        let of = |id: &str| {
            let value = HeaderValue::from_str(id).unwrap();
            RequestId::of(&HeaderMap::from_iter([("x-request-id".parse().unwrap(), value)]))
        };
        let metadata = of("a-1").metadata(&identity);
        assert_eq!(metadata["actor"], identity.user_id.to_string());
        assert_eq!(metadata["organization_id"], identity.organization_id.to_string());
        assert_eq!(metadata["request_id"], "a-1");
        for id in ["", "ada@example.com", &"a".repeat(129)] {
            assert!(!of(id).metadata(&identity).contains_key("request_id"), "{id}");
        }
    }
}
