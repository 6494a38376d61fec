//! `/api/v1/members`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::monitor::Violation;
use pulsetrail_domain::{Role, UserId};
use pulsetrail_infra::http::{Identity, Page, Pagination, Parameters, Problem};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::no_body::NoBody;
use super::super::request::{IdPath, Manager, RequestContext};
use super::{ROLES, page, role};
use crate::accounts::{self, Member};

/// The body that changes a member.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberBody {
    /// What they may do from now on.
    #[schemars(with = "Role")]
    role: String,
}

/// Lists the members of the organization.
#[utoipa::path(
    get,
    path = "/api/v1/members",
    tag = "people",
    operation_id = "listMembers",
    params(
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<uuid::Uuid>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of members.", body = ref(pulsetrail_infra::http::schema_of::<Page<Member>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn list_members(
    State(state): State<CommandState>,
    identity: Identity,
    Parameters(pagination): Parameters<Pagination>,
) -> Result<Json<Page<Member>>, Problem> {
    let (pool, organization_id) = (&state.store.read, identity.organization_id);
    page(
        &pagination,
        |member: &Member| member.user_id.0,
        async |after, limit| accounts::list_members(pool, organization_id, after, limit).await,
    )
    .await
}

/// Gives a member another role: 200. It counts from their next request on. For people who are
/// owners.
#[utoipa::path(
    patch,
    path = "/api/v1/members/{id}",
    tag = "people",
    operation_id = "changeMember",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    request_body = ref(pulsetrail_infra::http::schema_of::<MemberBody>()),
    responses((status = 200, description = "The member as they are then.", body = ref(pulsetrail_infra::http::schema_of::<Member>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn change_member(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    IdPath(id): IdPath,
    context: RequestContext,
    JsonBody(body): JsonBody<MemberBody>,
) -> Result<Json<Member>, Problem> {
    identity.session_id()?;
    let role =
        role(&body.role).ok_or_else(|| Problem::invalid(vec![Violation::new("/role", ROLES)]))?;
    let (organization_id, metadata) = (identity.organization_id, context.metadata(&identity));
    let changed =
        accounts::change_role(&state.store.write, organization_id, UserId(id), role, &metadata);
    Ok(Json(changed.await?))
}

/// Takes a member out of the organization: 204. Their sessions and keys here end at once, and so do their
/// open invitations. For people who are owners, and for oneself.
#[utoipa::path(
    delete,
    path = "/api/v1/members/{id}",
    tag = "people",
    operation_id = "removeMember",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    responses((status = 204, description = "They do not belong to it any more.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn remove_member(
    State(state): State<CommandState>,
    identity: Identity,
    IdPath(id): IdPath,
    context: RequestContext,
    body: Result<NoBody, Problem>,
) -> Result<StatusCode, Problem> {
    identity.session_id()?;
    if UserId(id) != identity.user_id {
        identity.may_manage()?;
    }
    body?;
    let (organization_id, metadata) = (identity.organization_id, context.metadata(&identity));
    accounts::remove_member(&state.store.write, organization_id, UserId(id), &metadata).await?;
    Ok(StatusCode::NO_CONTENT)
}
