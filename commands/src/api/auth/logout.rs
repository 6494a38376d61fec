//! `POST /api/v1/auth/logout`: the end of a session.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use pulsetrail_infra::http::{Identity, Problem};

use super::super::CommandState;
use super::session::ended_cookies;
use crate::accounts::end_session;

/// Ends the session that the request is of: 204. None of its tokens is good from now on.
pub(crate) async fn logout(
    State(state): State<CommandState>,
    identity: Identity,
) -> Result<(StatusCode, HeaderMap), Problem> {
    end_session(&state.store.write, identity.session_id()?).await?;
    Ok((StatusCode::NO_CONTENT, ended_cookies(&state)?))
}
