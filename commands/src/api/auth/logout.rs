//! `POST /api/v1/auth/logout`: the end of a session.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use pulsetrail_infra::http::{Identity, Problem};

use super::super::CommandState;
use super::super::no_body::NoBody;
use super::session::ended_cookies;
use crate::accounts::end_session;

/// Ends the session that the request is of: 204. None of its tokens is good from now on.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "accounts",
    operation_id = "logout",
    responses((status = 204, description = "The session has ended.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn logout(
    State(state): State<CommandState>,
    identity: Identity,
    _: NoBody,
) -> Result<(StatusCode, HeaderMap), Problem> {
    end_session(&state.store.write, identity.session_id()?).await?;
    Ok((StatusCode::NO_CONTENT, ended_cookies(&state)?))
}
