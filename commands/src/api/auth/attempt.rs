//! An attempt to get in, counted by the address that it comes from before its body is read.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pulsetrail_infra::http::Problem;

use super::super::CommandState;

/// Is let through where there were not too many from the same address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt;

impl FromRequestParts<CommandState> for Attempt {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &CommandState,
    ) -> Result<Self, Self::Rejection> {
        state.authenticator.count_attempt(parts).await?;
        Ok(Self)
    }
}
