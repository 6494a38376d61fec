//! `POST /api/v1/auth/logout`: the end of a session.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use pulsetrail_domain::{OrganizationId, SessionId};
use pulsetrail_infra::http::{IdempotencyKey, Identity, Problem, is_done, note_done};
use uuid::Uuid;

use super::super::CommandState;
use super::super::no_body::NoBody;
use super::session::ended_cookies;
use crate::accounts::end_session;

/// Ends the session that the request is of: 204. None of its tokens is good from now on. Sent again with
/// the same `Idempotency-Key` it is 204 as well, where it would be 401 without.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "accounts",
    operation_id = "logout",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    responses((status = 204, description = "The session has ended.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn logout(
    State(state): State<CommandState>,
    parts: Parts,
    identity: Result<Identity, Problem>,
    key: IdempotencyKey,
    body: Result<NoBody, Problem>,
) -> Result<(StatusCode, HeaderMap), Problem> {
    let pool = &state.store.write;
    match identity {
        Ok(identity) => {
            body?;
            let session_id = identity.session_id()?;
            let mut transaction = pool.begin().await?;
            end_session(&mut *transaction, session_id).await?;
            if let Some(mark) = mark(&key, identity.organization_id, session_id) {
                note_done(&mut *transaction, identity.organization_id, mark).await?;
            }
            transaction.commit().await?;
        }
        // What is sent again comes with a token that is not good any more, for that very reason.
        Err(refusal) => {
            let shown = state.authenticator.shown_session(&parts).ok_or_else(|| refusal.clone())?;
            let mark = mark(&key, shown.organization_id, shown.session_id);
            let mark = mark.ok_or_else(|| refusal.clone())?;
            if !is_done(pool, shown.organization_id, mark).await? {
                return Err(refusal);
            }
        }
    }
    Ok((StatusCode::NO_CONTENT, ended_cookies(&state)?))
}

/// The mark of the request that ends this session with that key.
fn mark(
    key: &IdempotencyKey,
    organization_id: OrganizationId,
    session_id: SessionId,
) -> Option<Uuid> {
    key.id(organization_id, &format!("POST /api/v1/auth/logout {session_id}"))
}
