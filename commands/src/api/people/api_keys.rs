//! `/api/v1/api-keys`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use pulsetrail_domain::monitor::Violation;
use pulsetrail_domain::{ApiKeyId, Role, Timestamp};
use pulsetrail_infra::http::{Page, Pagination, Parameters, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::no_body::NoBody;
use super::super::request::{IdPath, Manager, RequestContext};
use super::{NAME, ROLES, ToldOnce, good_name, page, role, taken_away, told_once};
use crate::accounts::{self, ApiKey, NewApiKey};

/// The body that makes a key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyBody {
    /// What people call it: 1 to 200 characters, not only spaces, none of them invisible.
    #[schemars(
        length(min = 1, max = 200),
        pattern(
            "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
        )
    )]
    name: String,
    /// What it may do.
    #[schemars(with = "Role")]
    role: String,
    /// When it ends; left out, never.
    expires_at: Option<Timestamp>,
}

/// A key and its secret, which is told this once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CreatedApiKey {
    #[serde(flatten)]
    key: ApiKey,
    /// What a program shows as `Authorization: Bearer`. It is not told again.
    secret: String,
}

/// Makes an API key: 201 with its secret. For people who are owners; a key makes none.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys",
    tag = "people",
    operation_id = "createApiKey",
    request_body = ref(pulsetrail_infra::http::schema_of::<ApiKeyBody>()),
    responses((status = 201, description = "The key and its secret.", body = ref(pulsetrail_infra::http::schema_of::<CreatedApiKey>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn create_api_key(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    context: RequestContext,
    JsonBody(body): JsonBody<ApiKeyBody>,
) -> Result<ToldOnce<CreatedApiKey>, Problem> {
    // A key that could make keys would outlive its own end.
    identity.session_id()?;
    let (name, role, expires_at) = body.validate()?;
    let new = NewApiKey {
        id: ApiKeyId(Uuid::now_v7()),
        organization_id: identity.organization_id,
        created_by: identity.user_id,
        name,
        role,
        expires_at,
    };
    let metadata = context.metadata(&identity);
    let (key, secret) = accounts::create_api_key(&state.store.write, new, &metadata).await?;
    Ok(told_once(CreatedApiKey { key, secret }))
}

impl ApiKeyBody {
    fn validate(self) -> Result<(String, Role, Option<Timestamp>), Problem> {
        let (name, role) = (good_name(&self.name), role(&self.role));
        let ends_later = self.expires_at.is_none_or(|end| end > Utc::now());
        if let (Some(name), Some(role), true) = (&name, role, ends_later) {
            return Ok((name.clone(), role, self.expires_at));
        }
        let mut violations = Vec::new();
        if name.is_none() {
            violations.push(Violation::new("/name", NAME));
        }
        if role.is_none() {
            violations.push(Violation::new("/role", ROLES));
        }
        if !ends_later {
            violations.push(Violation::new("/expires_at", "must be in the future"));
        }
        Err(Problem::invalid(violations))
    }
}

/// Lists the keys that are not revoked, without their secrets. For owners.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys",
    tag = "people",
    operation_id = "listApiKeys",
    params(
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<uuid::Uuid>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of keys.", body = ref(pulsetrail_infra::http::schema_of::<Page<ApiKey>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn list_api_keys(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    Parameters(pagination): Parameters<Pagination>,
) -> Result<Json<Page<ApiKey>>, Problem> {
    let (pool, organization_id) = (&state.store.read, identity.organization_id);
    page(
        &pagination,
        |key: &ApiKey| key.id.0,
        async |after, limit| accounts::list_api_keys(pool, organization_id, after, limit).await,
    )
    .await
}

/// Revokes a key: 204. The next request with it is refused. For owners.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/{id}",
    tag = "people",
    operation_id = "revokeApiKey",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    responses((status = 204, description = "It is not good any more.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn revoke_api_key(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    IdPath(id): IdPath,
    context: RequestContext,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    let (organization_id, metadata) = (identity.organization_id, context.metadata(&identity));
    let pool = &state.store.write;
    taken_away(accounts::revoke_api_key(pool, organization_id, ApiKeyId(id), &metadata).await?)
}
