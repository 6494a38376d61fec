//! Requests that say all there is to say in their path.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use pulsetrail_infra::http::Problem;
use serde::Deserialize;

use super::json_body::{parse, require_json, unread};

/// No body, or an empty object. Any field is refused: it would change nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoBody;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let headers = parts.headers.clone();
        let request = Request::from_parts(parts, body);
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        if !bytes.is_empty() {
            require_json(&headers)?;
            let Nothing {} = parse(&bytes)?;
        }
        Ok(Self)
    }
}
