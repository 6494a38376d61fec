//! `POST /api/v1/monitors/{id}/annotations`: something is said about a time, or what it would change.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cqrs_es::AggregateError;
use pulsetrail_domain::annotation::{AnnotationCommand, AnnotationError, AnnotationKind, Span};
use pulsetrail_domain::{AnnotationId, MonitorId, OrganizationId, Timestamp};
use pulsetrail_infra::http::{
    AnnotationBody, BodyHash, IdempotencyKey, Parameters, Problem, load_annotation,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::CommandState;
use super::super::aggregates::refusal;
use super::super::json_body::{JsonBody, parse_value};
use super::super::request::{MonitorPath, RequestContext, Writer};
use super::require_monitor;

/// Annotations of one monitor that may stand at once.
const MOST: i64 = 1_000;

/// Whether it is only asked what would change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnnotateParameters {
    #[serde(default)]
    dry_run: bool,
}

/// The body that says something about a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AnnotationInput")]
pub(crate) struct AnnotationInput {
    /// The first moment, which may lie in the past. Times are kept to the microsecond.
    from: Timestamp,
    /// The moment after the last: at most 366 days later.
    to: Timestamp,
    /// What it was. Maintenance does not count; a false alarm counts as up; a note changes no figure.
    kind: AnnotationKind,
    /// Why, for people: at most 1,000 characters.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    note: String,
}

impl AnnotationInput {
    fn span(self, monitor_id: MonitorId) -> Span {
        let Self { from, to, kind, note } = self;
        let [from, to] = [from, to].map(|time| {
            // What a time has beyond microseconds is cut off: the stores keep no more.
            Timestamp::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
        });
        Span { monitor_id, from, to, kind, note }
    }
}

/// Says something about a time of a monitor: 201. Uptime answers change at once. With `dry_run=true` nothing is
/// stored: 200 with the uptime before and after.
#[utoipa::path(
    post,
    path = "/api/v1/monitors/{id}/annotations",
    tag = "history",
    operation_id = "annotate",
    params(
        ("id" = uuid::Uuid, Path, description = "The monitor's id."),
        ("dry_run" = Option<bool>, Query, description = "Only says what would change."),
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body = ref(pulsetrail_infra::http::schema_of::<AnnotationInput>()),
    responses(
        (status = 200, description = "What it would change; of a dry run.", body = ref(pulsetrail_infra::http::annotation_preview_schema())),
        (status = 201, description = "The annotation.", body = ref(pulsetrail_infra::http::schema_of::<AnnotationBody>())),
    ),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn annotate(
    State(state): State<CommandState>,
    Writer(identity): Writer,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<AnnotateParameters>,
    context: RequestContext,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response, Problem> {
    let organization_id = identity.organization_id;
    require_monitor(&state, organization_id, monitor_id).await?;
    let span = parse_value::<AnnotationInput>(body.clone())?.span(monitor_id);
    span.check()?;
    if parameters.dry_run {
        let preview = state.previews()?.preview(organization_id, &span).await?;
        return Ok(Json(preview).into_response());
    }
    let route = format!("POST annotations {monitor_id}");
    let hash = BodyHash::of(&state.keyring, &body);
    key.claim(&state.store.write, organization_id, &route, &hash).await?;
    let with_key = key.id(organization_id, &route);
    let id = AnnotationId(with_key.unwrap_or_else(Uuid::now_v7));
    if with_key.is_some()
        && let Some((made, _)) = load_annotation(&state.store.read, organization_id, id).await?
    {
        return Ok((StatusCode::CREATED, Json(made)).into_response());
    }
    check_limit(&state, organization_id, monitor_id).await?;
    let command = AnnotationCommand::Annotate(span);
    let metadata = context.metadata(&identity);
    let outcome = state.annotations.execute(&id.to_string(), command, &metadata).await;
    match outcome {
        Ok(()) => {}
        // The same request was carried out meanwhile.
        Err(AggregateError::UserError(AnnotationError::AlreadyMade)) if with_key.is_some() => {}
        Err(error) => return Err(refusal(error)),
    }
    let made = load_annotation(&state.store.read, organization_id, id).await?;
    let (made, _) = made.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// Refuses one more where there are as many as an answer should take into account.
async fn check_limit(
    state: &CommandState,
    organization_id: OrganizationId,
    monitor_id: MonitorId,
) -> Result<(), Problem> {
    let standing: i64 = sqlx::query_scalar(
        "select count(*) from annotations
         where organization_id = $1 and monitor_id = $2 and withdrawn_position is null",
    )
    .bind(organization_id.0)
    .bind(monitor_id.0)
    .fetch_one(&state.store.read)
    .await?;
    if standing < MOST {
        return Ok(());
    }
    let detail = format!("A monitor may have {MOST} annotations: withdraw some.");
    Err(Problem::new(StatusCode::FORBIDDEN, "annotation_limit_reached", detail))
}
