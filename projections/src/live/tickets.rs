//! `POST /api/v1/live/tickets`: a ticket, for browsers, which can set no header on a WebSocket or an event source.

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use pulsetrail_infra::http::no_body::NoBody;
use pulsetrail_infra::http::{
    Authenticator, Identity, Problem, SESSION_COOKIE, TicketUse, cookie, schema_of,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::queries::{NoParameters, Parameters};

/// A ticket to the live feed.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TicketBody {
    /// Goes as `?ticket=` to any server.
    ticket: String,
    /// Within so many seconds it must be used for the first time.
    expires_in: i32,
}

/// Gives a ticket to the live feed.
///
/// It stands for the credential that asks for it, in the same organization and role, at any server, as `?ticket=` of
/// `/api/v1/live`, where it is good once, or of `/api/v1/live/sse`, where it is good again for an hour, at most as
/// long as the credential, because an event source comes back to the same address by itself.
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

/// Who opens a WebSocket: whoever the ticket in the query stands for, else the caller as everywhere.
pub(crate) struct Caller(pub(crate) Identity);

/// Who listens to Server-Sent Events: the same, and the ticket is good again.
pub(crate) struct Listener(pub(crate) Identity);

impl<S> FromRequestParts<S> for Caller
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        identify(parts, state, TicketUse::Once).await.map(Self)
    }
}

impl<S> FromRequestParts<S> for Listener
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        identify(parts, state, TicketUse::Again).await.map(Self)
    }
}

#[derive(Deserialize)]
struct Shown {
    ticket: Option<String>,
}

async fn identify<S>(
    parts: &mut Parts,
    state: &S,
    ticket_use: TicketUse,
) -> Result<Identity, Problem>
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    let shown: Query<Shown> = Query::try_from_uri(&parts.uri)
        .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let authenticator = Authenticator::from_ref(state);
    match &shown.ticket {
        Some(ticket) => authenticator.redeem_ticket(parts, ticket, ticket_use).await,
        // A cookie goes along wherever a stream is asked for, and a stream is a connection of its owner.
        None if !parts.headers.contains_key(header::AUTHORIZATION)
            && cookie(parts, SESSION_COOKIE).is_some()
            && authenticator.ingress().comes_from_elsewhere(parts) =>
        {
            Err(Problem::cross_site())
        }
        None => Identity::from_request_parts(parts, state).await,
    }
}
