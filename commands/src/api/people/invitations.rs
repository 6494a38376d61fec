//! `/api/v1/invitations`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::monitor::Violation;
use pulsetrail_domain::{InvitationId, Role};
use pulsetrail_infra::http::{
    BodyHash, IdempotencyKey, Identity, Page, Pagination, Parameters, Problem,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::CommandState;
use super::super::auth::attempt::Attempt;
use super::super::json_body::JsonBody;
use super::super::no_body::NoBody;
use super::super::request::{IdPath, Manager, RequestContext};
use super::{ROLES, ToldOnce, page, role, taken_away, told_once};
use crate::accounts::{self, Email, Invitation, Membership};

/// The body of an invitation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationBody {
    /// Who may accept it: the address of their account.
    #[schemars(email, length(min = 3, max = 254))]
    email: String,
    /// What they may do then.
    #[schemars(with = "Role")]
    role: String,
}

/// An invitation and its token, which is told this once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CreatedInvitation {
    #[serde(flatten)]
    invitation: Invitation,
    /// What the invited person accepts it with. It is not told again.
    token: String,
}

/// The body that accepts an invitation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptBody {
    /// The token of the invitation.
    token: String,
}

/// Invites somebody: 201 with the token to give to them, good for 7 days, as long as the inviting person
/// is an owner. For people who are owners; a key invites nobody.
#[utoipa::path(
    post,
    path = "/api/v1/invitations",
    tag = "people",
    operation_id = "createInvitation",
    request_body = ref(pulsetrail_infra::http::schema_of::<InvitationBody>()),
    responses((status = 201, description = "The invitation and its token.", body = ref(pulsetrail_infra::http::schema_of::<CreatedInvitation>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn create_invitation(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    context: RequestContext,
    JsonBody(body): JsonBody<InvitationBody>,
) -> Result<ToldOnce<CreatedInvitation>, Problem> {
    // Whoever a key let in would outlive its end.
    identity.session_id()?;
    let (email, role) = match (Email::try_from(body.email.as_str()), role(&body.role)) {
        (Ok(email), Some(role)) => (email, role),
        (email, role) => {
            let email = email.err().map(|error| Violation::new("/email", error.to_string()));
            let role = role.is_none().then(|| Violation::new("/role", ROLES));
            return Err(Problem::invalid(email.into_iter().chain(role).collect()));
        }
    };
    let whose = (identity.organization_id, identity.user_id);
    let metadata = context.metadata(&identity);
    let (invitation, token) =
        accounts::invite(&state.store.write, whose, &email, role, &metadata).await?;
    Ok(told_once(CreatedInvitation { invitation, token }))
}

/// Lists the invitations that are still open, without their tokens. For owners.
#[utoipa::path(
    get,
    path = "/api/v1/invitations",
    tag = "people",
    operation_id = "listInvitations",
    params(
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<uuid::Uuid>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of invitations.", body = ref(pulsetrail_infra::http::schema_of::<Page<Invitation>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn list_invitations(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    Parameters(pagination): Parameters<Pagination>,
) -> Result<Json<Page<Invitation>>, Problem> {
    let (pool, organization_id) = (&state.store.read, identity.organization_id);
    page(
        &pagination,
        |invitation: &Invitation| invitation.id.0,
        async |after, limit| accounts::list_invitations(pool, organization_id, after, limit).await,
    )
    .await
}

/// Withdraws an invitation: 204. For people who are owners.
#[utoipa::path(
    delete,
    path = "/api/v1/invitations/{id}",
    tag = "people",
    operation_id = "withdrawInvitation",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    responses((status = 204, description = "It is not good any more.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn withdraw_invitation(
    State(state): State<CommandState>,
    Manager(identity): Manager,
    IdPath(id): IdPath,
    context: RequestContext,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    identity.session_id()?;
    let (organization_id, metadata) = (identity.organization_id, context.metadata(&identity));
    let (pool, id) = (&state.store.write, InvitationId(id));
    taken_away(accounts::withdraw_invitation(pool, organization_id, id, &metadata).await?)
}

/// Joins the organization that invites the caller: 200 with it. 404 where the token is not good, or
/// is somebody else's. `POST /api/v1/organizations/{id}/switch` leads there.
#[utoipa::path(
    post,
    path = "/api/v1/invitations/accept",
    tag = "people",
    operation_id = "acceptInvitation",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body = ref(pulsetrail_infra::http::schema_of::<AcceptBody>()),
    responses((status = 200, description = "The organization that was joined.", body = ref(pulsetrail_infra::http::schema_of::<Membership>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn accept_invitation(
    State(state): State<CommandState>,
    identity: Identity,
    _: Attempt,
    context: RequestContext,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<AcceptBody>,
) -> Result<Json<Membership>, Problem> {
    identity.session_id()?;
    let (organization_id, body) = (identity.organization_id, body.token);
    let claimed = json!({ "token": body });
    let route = "POST /api/v1/invitations/accept";
    let claimed = BodyHash::of(&state.keyring, &claimed);
    key.claim(&state.store.write, organization_id, route, &claimed).await?;
    let metadata = context.metadata(&identity);
    let joined =
        accounts::accept_invitation(&state.store.write, identity.user_id, &body, metadata).await?;
    joined.map(Json).ok_or_else(Problem::not_found)
}
