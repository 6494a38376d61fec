//! `/api/v1/dead-letters`: an organization's messages that were themselves at fault, and to who runs the
//! installation also those of no organization.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pulsetrail_infra::dead_letters::{self, RetryError, Scope, StoredLetter};
use pulsetrail_infra::http::{
    IdempotencyKey, Identity, Page, Pagination, Parameters, Problem, is_done, note_done,
};
use uuid::Uuid;

use super::CommandState;
use super::no_body::NoBody;
use super::request::Writer;

/// Lists them, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters",
    tag = "operations",
    operation_id = "listDeadLetters",
    params(
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<uuid::Uuid>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of dead letters.", body = ref(pulsetrail_infra::http::schema_of::<Page<StoredLetter>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn list(
    State(state): State<CommandState>,
    identity: Identity,
    Parameters(pagination): Parameters<Pagination>,
) -> Result<Json<Page<StoredLetter>>, Problem> {
    let limit = pagination.limit()?;
    let before = pagination.cursor.as_deref().map(|cursor| {
        cursor.parse::<Uuid>().map_err(|_| Problem::bad_request("cursor is not one that was given"))
    });
    let before = before.transpose()?;
    let scope = scope(&identity);
    let letters = dead_letters::list(&state.store.read, scope, before, limit as i64 + 1).await?;
    Ok(Json(Page::new(letters, limit, |stored| stored.letter.id.to_string())))
}

/// Shows one.
#[utoipa::path(
    get,
    path = "/api/v1/dead-letters/{id}",
    tag = "operations",
    operation_id = "showDeadLetter",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    responses((status = 200, description = "The dead letter.", body = ref(pulsetrail_infra::http::schema_of::<StoredLetter>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn show(
    State(state): State<CommandState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<Json<StoredLetter>, Problem> {
    let scope = scope(&identity);
    let letter = dead_letters::show(&state.store.read, scope, parsed(&id)?).await?;
    letter.map(Json).ok_or_else(Problem::not_found)
}

/// Retries a dead letter: 202 with it. 409 if it cannot be retried; 429 after 60 retries of an organization
/// in a minute. With an `Idempotency-Key` it is retried once, however often that is asked for.
#[utoipa::path(
    post,
    path = "/api/v1/dead-letters/{id}/retry",
    tag = "operations",
    operation_id = "retryDeadLetter",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    responses((status = 202, description = "The dead letter, which is tried again.", body = ref(pulsetrail_infra::http::schema_of::<StoredLetter>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn retry(
    State(state): State<CommandState>,
    Writer(identity): Writer,
    Path(id): Path<String>,
    key: IdempotencyKey,
    _: NoBody,
) -> Result<(StatusCode, Json<StoredLetter>), Problem> {
    let (scope, id) = (scope(&identity), parsed(&id)?);
    let CommandState { store, kafka, producer, .. } = &state;
    let organization_id = identity.organization_id;
    let mark = key.id(organization_id, &format!("POST /api/v1/dead-letters/{id}/retry"));
    if let Some(mark) = mark
        && is_done(&store.read, organization_id, mark).await?
    {
        let letter = dead_letters::show(&store.read, scope, id).await?;
        return Ok((StatusCode::ACCEPTED, Json(letter.ok_or_else(Problem::not_found)?)));
    }
    state.retries.count(&organization_id)?;
    let by = format!("user:{}", identity.user_id);
    let retried = dead_letters::retry(store, kafka, producer, scope, id, &by).await;
    let letter = retried.map_err(refusal)?;
    if let Some(mark) = mark {
        // Who dies before this sends the message once more: what it leads to is counted once.
        note_done(&store.write, organization_id, mark).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(letter)))
}

fn refusal(error: RetryError) -> Problem {
    match error {
        RetryError::NotFound => Problem::not_found(),
        RetryError::Impossible(_) => {
            Problem::new(StatusCode::CONFLICT, "not_retryable", error.to_string())
        }
        RetryError::Store(error) => error.into(),
        RetryError::Kafka(error) => Problem::unavailable(error),
    }
}

/// Whoever runs the installation also sees those that belong to no organization.
fn scope(identity: &Identity) -> Scope {
    if identity.operator {
        Scope::OrganizationAndNone(identity.organization_id)
    } else {
        Scope::Organization(identity.organization_id)
    }
}

/// What is no id names no letter.
fn parsed(id: &str) -> Result<Uuid, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}
