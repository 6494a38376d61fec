//! `POST /api/v1/live/tickets`: a one-time ticket, for browsers, which can set no header on a WebSocket
//! or an event source.

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use pulsetrail_infra::http::no_body::NoBody;
use pulsetrail_infra::http::{Authenticator, Identity, Problem, schema_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::queries::{NoParameters, Parameters};

/// A ticket to the live feed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TicketBody {
    /// Goes as `?ticket=` to any server, once.
    ticket: String,
    /// How long it is good for, in seconds.
    expires_in: i32,
}

/// Gives a one-time ticket to the live feed.
///
/// It stands for the credential that asks for it, in the same organization and role, and is good once,
/// at any server, as `?ticket=` of `/api/v1/live` and `/api/v1/live/sse`.
#[utoipa::path(
    post,
    path = "/api/v1/live/tickets",
    tag = "live",
    operation_id = "createLiveTicket",
    responses((status = 201, description = "A ticket.", body = ref(schema_of::<TicketBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn issue(
    identity: Identity,
    State(authenticator): State<Authenticator>,
    Parameters(NoParameters {}): Parameters<NoParameters>,
    _: NoBody,
) -> Result<(StatusCode, Json<TicketBody>), Problem> {
    let ticket = authenticator.issue_ticket(&identity).await?;
    let body = TicketBody { ticket: ticket.secret, expires_in: ticket.expires_in };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Who wants to listen: whoever the ticket in the query stands for, else the caller as everywhere.
pub(crate) struct Listener(pub(crate) Identity);

#[derive(Deserialize)]
struct Shown {
    ticket: Option<String>,
}

impl<S> FromRequestParts<S> for Listener
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let shown: Query<Shown> = Query::try_from_uri(&parts.uri)
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        match &shown.ticket {
            Some(ticket) => {
                Authenticator::from_ref(state).redeem_ticket(parts, ticket).await.map(Self)
            }
            None => Identity::from_request_parts(parts, state).await.map(Self),
        }
    }
}
