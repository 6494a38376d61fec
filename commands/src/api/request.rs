//! What handlers read from a request besides its body.

use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use pulsetrail_domain::MonitorId;
use pulsetrail_infra::http::{Authenticator, Credential, Identity, Problem};
use pulsetrail_infra::trace::{TRACEPARENT, Traceparent};
use uuid::Uuid;

use crate::accounts::Metadata;

/// A caller who may change things. Read before the body, so that nobody learns what is wrong with a
/// body that they may not send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer(pub(crate) Identity);

impl<S> FromRequestParts<S> for Writer
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let identity = Identity::from_request_parts(parts, state).await?;
        identity.may_write()?;
        Ok(Self(identity))
    }
}

/// A caller who may manage people and keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manager(pub(crate) Identity);

impl<S> FromRequestParts<S> for Manager
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let identity = Identity::from_request_parts(parts, state).await?;
        identity.may_manage()?;
        Ok(Self(identity))
    }
}

/// The id that the path ends with. What is none names nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdPath(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for IdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        Uuid::parse_str(&id).map(Self).map_err(|_| Problem::not_found())
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

/// What the log keeps of a request: its id, and the trace that it is a part of.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    request_id: Option<String>,
    trace: Traceparent,
}

/// The longest request id that is kept, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

impl RequestContext {
    /// The metadata of a command in this request.
    pub(crate) fn metadata(&self, identity: &Identity) -> Metadata {
        let mut metadata = self.anonymous();
        metadata.insert("actor".to_owned(), identity.user_id.to_string());
        metadata.insert("organization_id".to_owned(), identity.organization_id.to_string());
        if let Credential::ApiKey(api_key_id) = identity.credential {
            metadata.insert("api_key".to_owned(), api_key_id.to_string());
        }
        metadata
    }

    /// The metadata of a command of somebody who is not known before.
    pub(crate) fn anonymous(&self) -> Metadata {
        let request_id = self.request_id.clone().map(|id| ("request_id".to_owned(), id));
        let trace = (TRACEPARENT.to_owned(), self.trace.as_str().to_owned());
        request_id.into_iter().chain([trace]).collect()
    }

    /// The trace that the request is a part of.
    pub(crate) fn trace(&self) -> &Traceparent {
        &self.trace
    }

    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        // The log is for ever: it takes no text of any form and length.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let good =
            |id: &&str| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed);
        Self {
            request_id: text("x-request-id").filter(good).map(str::to_owned),
            trace: text(TRACEPARENT)
                .and_then(Traceparent::parse)
                .unwrap_or_else(Traceparent::random),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use pulsetrail_domain::{OrganizationId, SessionId, UserId};
    use pulsetrail_infra::http::Role;

    use super::*;

    fn of(name: &str, value: &str) -> RequestContext {
        let value = HeaderValue::from_str(value).unwrap();
        RequestContext::of(&HeaderMap::from_iter([(name.parse().unwrap(), value)]))
    }

    #[test]
    fn a_command_says_who_asked_and_in_which_request() {
        let identity = Identity {
            user_id: UserId(Uuid::from_u128(1)),
            organization_id: OrganizationId(Uuid::from_u128(2)),
            role: Role::Editor,
            operator: false,
            credential: Credential::Session(SessionId::default()),
            ends_at: None,
        };
        let metadata = of("x-request-id", "a-1").metadata(&identity);
        assert_eq!(metadata["actor"], identity.user_id.to_string());
        assert_eq!(metadata["organization_id"], identity.organization_id.to_string());
        assert_eq!(metadata["request_id"], "a-1");
        for id in ["", "ada@example.com", &"a".repeat(129)] {
            let metadata = of("x-request-id", id).metadata(&identity);
            assert!(!metadata.contains_key("request_id"), "{id}");
        }
    }

    #[test]
    fn a_trace_is_carried_on_and_one_is_made_where_none_came() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of("traceparent", good).anonymous()["traceparent"], good);
        let made = of("traceparent", "nonsense").anonymous()["traceparent"].clone();
        assert!(Traceparent::parse(&made).is_some(), "{made}");
    }
}
