//! `POST /api/v1/auth/refresh`: the next tokens of a session.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use pulsetrail_infra::http::{Problem, cookie};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::CommandState;
use super::super::json_body;
use super::super::request::RequestContext;
use super::attempt::Attempt;
use super::session::{REFRESH_COOKIE, Session};
use crate::accounts::refresh_session;

/// The body of a refresh. A browser sends none: its cookie is enough.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    /// The newest refresh token of the session.
    refresh_token: String,
}

/// Gives a session its next tokens: 200. A refresh token is good once; shown again it ends the
/// session, and 401 is all that either side gets from then on.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "accounts",
    operation_id = "refresh",
    request_body = ref(pulsetrail_infra::http::schema_of::<RefreshBody>()),
    responses((status = 200, description = "The next tokens of the session.", body = ref(pulsetrail_infra::http::schema_of::<super::SessionBody>()))),
)]
pub(crate) async fn refresh(
    State(state): State<CommandState>,
    _: Attempt,
    context: RequestContext,
    request: Request,
) -> Result<Session, Problem> {
    let (parts, body) = request.into_parts();
    let from_cookie = cookie(&parts, REFRESH_COOKIE).map(str::to_owned);
    if from_cookie.is_some() && !state.authenticator.ingress().cookie_counts(&parts) {
        return Err(Problem::cross_site());
    }
    let request = Request::from_parts(parts, body);
    let (token, in_cookies) = match from_cookie {
        Some(token) => (token, true),
        None => {
            let headers = request.headers().clone();
            let bytes = json_body::read(request, &state).await?;
            if bytes.is_empty() {
                return Err(invalid_refresh_token());
            }
            json_body::require_json(&headers)?;
            let RefreshBody { refresh_token } = json_body::parse(&bytes)?;
            (refresh_token, false)
        }
    };
    let days = state.rules.session_days;
    let refreshed = refresh_session(&state.store.write, &token, days, context.anonymous()).await?;
    let Some((account, open)) = refreshed else { return Err(invalid_refresh_token()) };
    Session::new(&state, account, open, in_cookies)
}

fn invalid_refresh_token() -> Problem {
    let detail = "The refresh token is not good, or not good any more: sign in again.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_refresh_token", detail)
}
