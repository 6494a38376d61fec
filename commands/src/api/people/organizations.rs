//! `/api/v1/organizations`: those that a person belongs to.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use pulsetrail_domain::OrganizationId;
use pulsetrail_infra::http::{Identity, Page, Problem};

use super::super::CommandState;
use super::super::auth::Session;
use super::super::no_body::NoBody;
use super::super::request::IdPath;
use crate::accounts::{Membership, begin_session, list_memberships, load_account};

/// Lists the organizations that the caller belongs to.
#[utoipa::path(
    get,
    path = "/api/v1/organizations",
    tag = "people",
    operation_id = "listOrganizations",
    responses((status = 200, description = "The organizations that the caller belongs to.", body = ref(pulsetrail_infra::http::schema_of::<Page<Membership>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn list_organizations(
    State(state): State<CommandState>,
    identity: Identity,
) -> Result<Json<Page<Membership>>, Problem> {
    identity.session_id()?;
    let items = list_memberships(&state.store.read, identity.user_id).await?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// Begins a session in another organization of the caller's: 200 with its tokens. The session that
/// asked goes on.
#[utoipa::path(
    post,
    path = "/api/v1/organizations/{id}/switch",
    tag = "people",
    operation_id = "switchOrganization",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    responses((status = 200, description = "A session in the organization.", body = ref(pulsetrail_infra::http::schema_of::<super::super::auth::SessionBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn switch_organization(
    State(state): State<CommandState>,
    identity: Identity,
    IdPath(id): IdPath,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Session, Problem> {
    identity.session_id()?;
    let organization_id = OrganizationId(id);
    let account = load_account(&state.store.read, identity.user_id, organization_id)
        .await?
        .ok_or_else(Problem::not_found)?;
    let days = state.rules.session_days;
    let open = begin_session(&state.store.write, identity.user_id, organization_id, days).await?;
    // Who came with a cookie gets the next one.
    let in_cookies = !headers.contains_key(header::AUTHORIZATION);
    Session::new(&state, account, open, in_cookies)
}
