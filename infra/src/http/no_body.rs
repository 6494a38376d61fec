//! Requests that say all there is to say in their path.

use axum::extract::{FromRequest, Request};
use serde::Deserialize;

use super::Problem;
use super::json_body::{parse, read, require_json};

/// No body, or an empty object. Any field is refused: it would change nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let headers = request.headers().clone();
        let bytes = read(request, state).await?;
        if !bytes.is_empty() {
            require_json(&headers)?;
            let Nothing {} = parse(&bytes)?;
        }
        Ok(Self)
    }
}
