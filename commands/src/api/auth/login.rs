//! `POST /api/v1/auth/login`: a session for a password.

use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_infra::http::Problem;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::attempt::Attempt;
use super::session::{Session, password_problem};
use crate::accounts::{Email, Password, begin_session, find_login};

/// The body of a login.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// The address of the account.
    email: String,
    /// Its password.
    password: String,
    /// Whether the tokens come in cookies, for a browser, and not in the body.
    #[serde(default)]
    cookies: bool,
}

/// Signs a person in. 200 with a token; else 401, after the same work whether the account exists or
/// not, so that nobody learns who has one.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "accounts",
    operation_id = "login",
    request_body = ref(pulsetrail_infra::http::schema_of::<LoginBody>()),
    responses((status = 200, description = "A new session.", body = ref(pulsetrail_infra::http::schema_of::<super::SessionBody>()))),
)]
pub(crate) async fn login(
    State(state): State<CommandState>,
    attempt: Attempt,
    JsonBody(body): JsonBody<LoginBody>,
) -> Result<Session, Problem> {
    // No account can have such an address or such a password: nothing is learnt from a quick no.
    let (Ok(email), Ok(password)) =
        (Email::try_from(body.email.as_str()), Password::try_from(body.password))
    else {
        return Err(invalid_credentials());
    };
    attempt.count_sign_in(&state, &email).await?;
    let (hash, account) = find_login(&state.store.read, &email)
        .await?
        .map(|login| (login.password_hash, login.account))
        .unzip();
    let good = state.passwords.verify(password, hash).await.map_err(password_problem)?;
    match account {
        Some(account) if good => {
            let (user_id, organization_id) = (account.user_id, account.organization_id);
            attempt.note_sign_in(&state, user_id).await?;
            let days = state.rules.session_days;
            let open = begin_session(&state.store.write, user_id, organization_id, days).await?;
            Session::new(&state, account, open, body.cookies)
        }
        _ => Err(invalid_credentials()),
    }
}

pub(crate) fn invalid_credentials() -> Problem {
    let detail = "The e-mail address or the password is wrong.";
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
}
