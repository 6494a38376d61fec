//! `GET /api/v1/me`: who the caller is.

use axum::Json;
use axum::extract::State;
use pulsetrail_domain::{ApiKeyId, Role};
use pulsetrail_infra::http::{Credential, Identity, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::CommandState;
use super::super::auth::{OrganizationBody, UserBody};
use crate::accounts::load_account;

/// The caller, and what they may do where.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Me {
    user: UserBody,
    organization: OrganizationBody,
    /// What the caller may do there.
    role: Role,
    /// The key that asks; null where a person does.
    api_key_id: Option<ApiKeyId>,
}

/// Says who the caller is; of an API key, who made it.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "accounts",
    operation_id = "showMe",
    responses((status = 200, description = "Who the caller is.", body = ref(pulsetrail_infra::http::schema_of::<Me>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn me(
    State(state): State<CommandState>,
    identity: Identity,
) -> Result<Json<Me>, Problem> {
    let Identity { user_id, organization_id, role, credential, .. } = identity;
    let account = load_account(&state.store.read, user_id, organization_id)
        .await?
        .ok_or_else(Problem::unauthorized)?;
    let api_key_id = match credential {
        Credential::ApiKey(api_key_id) => Some(api_key_id),
        Credential::Session(_) => None,
    };
    let (user, organization) = account.into();
    Ok(Json(Me { user, organization, role, api_key_id }))
}
