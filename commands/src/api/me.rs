//! `GET /api/v1/me`: who the caller is.

use axum::Json;
use axum::extract::State;
use pulsetrail_infra::http::{Identity, Problem, Role};
use serde::Serialize;

use super::CommandState;
use super::auth::{OrganizationBody, UserBody};
use crate::accounts::load_account;

/// The caller, and what they may do where.
#[derive(Serialize)]
pub(crate) struct Me {
    user: UserBody,
    organization: OrganizationBody,
    role: Role,
}

/// Says who the caller is. 401 where the account is gone although its token is still good.
pub(crate) async fn me(
    State(state): State<CommandState>,
    identity: Identity,
) -> Result<Json<Me>, Problem> {
    let account =
        load_account(&state.store.read, &identity).await?.ok_or_else(Problem::unauthorized)?;
    let role = account.role;
    let (user, organization) = account.into();
    Ok(Json(Me { user, organization, role }))
}
