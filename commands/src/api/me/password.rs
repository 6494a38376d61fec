//! `PUT /api/v1/me/password`: another password.

use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::UserId;
use pulsetrail_domain::monitor::Violation;
use pulsetrail_infra::http::{Identity, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::CommandState;
use super::super::auth::{invalid_credentials, password_problem};
use super::super::json_body::JsonBody;
use super::super::request::RequestContext;
use crate::accounts::{self, Password, find_password};

/// The body of a change of password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordBody {
    /// The password until now.
    current_password: String,
    /// The password from now on: 8 to 256 characters.
    #[schemars(length(min = 8, max = 256))]
    new_password: String,
}

/// Changes the caller's password: 204. Every other session of theirs ends. 401 where the current
/// password is wrong.
#[utoipa::path(
    put,
    path = "/api/v1/me/password",
    tag = "accounts",
    operation_id = "changePassword",
    request_body = ref(pulsetrail_infra::http::schema_of::<PasswordBody>()),
    responses((status = 204, description = "The password is another one.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn change_password(
    State(state): State<CommandState>,
    identity: Identity,
    context: RequestContext,
    JsonBody(body): JsonBody<PasswordBody>,
) -> Result<StatusCode, Problem> {
    let session_id = identity.session_id()?;
    let new = Password::try_from(body.new_password).map_err(|error| {
        Problem::invalid(vec![Violation::new("/new_password", error.to_string())])
    })?;
    verify_password(&state, identity.user_id, body.current_password).await?;
    let hash = state.passwords.hash(new).await.map_err(password_problem)?;
    let whose = (identity.user_id, identity.organization_id);
    let metadata = context.metadata(&identity);
    accounts::change_password(&state.store.write, whose, session_id, &hash, &metadata).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses whoever does not know the password of a person, as often as a login would.
pub(super) async fn verify_password(
    state: &CommandState,
    user_id: UserId,
    password: String,
) -> Result<(), Problem> {
    state.sign_ins.count(&user_id.to_string()).await?;
    let stored = find_password(&state.store.read, user_id).await?;
    let Ok(password) = Password::try_from(password) else { return Err(invalid_credentials()) };
    let good = state.passwords.verify(password, stored).await.map_err(password_problem)?;
    if good { Ok(()) } else { Err(invalid_credentials()) }
}
