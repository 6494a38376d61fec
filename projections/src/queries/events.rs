//! `GET /monitors/{id}/events`: the stored events of a monitor and its health, oldest first.

use axum::Json;
use axum::extract::State;
use pulsetrail_domain::{Position, Timestamp};
use pulsetrail_infra::http::{Identity, Page, Problem};
use pulsetrail_infra::store::{EventWithMetadata, read_monitors_after};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::extract::{MonitorPath, Parameters, page_limit};
use super::{QueryState, require_monitor};

/// The largest number that every reader of JSON keeps whole (RFC 8259, 6).
const MAX_POSITION: Position = Position((1 << 53) - 1);

/// Which events are listed: those after a position.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    after: Option<i64>,
    limit: Option<usize>,
}

/// An event as it is stored.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventBody {
    position: Position,
    aggregate_type: String,
    aggregate_id: String,
    sequence: i64,
    event_type: String,
    event_version: String,
    recorded_at: Timestamp,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    payload: Box<RawValue>,
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    metadata: Box<RawValue>,
}

impl From<EventWithMetadata> for EventBody {
    fn from(EventWithMetadata { event, metadata }: EventWithMetadata) -> Self {
        Self {
            position: event.position,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            sequence: event.sequence,
            event_type: event.event_type,
            event_version: event.event_version,
            recorded_at: event.recorded_at,
            payload: event.payload,
            metadata,
        }
    }
}

/// Lists the stored events of a monitor and its health, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}/events",
    tag = "history",
    operation_id = "listEvents",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("after" = Option<u64>, Query, description = "Only those after this position.", maximum = 9007199254740991.0),
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, description = "A page of events, oldest first.", body = ref(pulsetrail_infra::http::schema_of::<Page<EventBody>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn list(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Page<EventBody>>, Problem> {
    let limit = page_limit(parameters.limit)?;
    let after = Position(parameters.after.unwrap_or_default());
    if !(Position::START..=MAX_POSITION).contains(&after) {
        return Err(Problem::bad_request("after must be a position: 0 to 2^53 - 1"));
    }
    require_monitor(&state.store, identity.organization_id, monitor_id).await?;
    let events =
        read_monitors_after(&state.store.read, &[monitor_id], after, limit as i64 + 1).await?;
    let events = events.into_iter().map(EventBody::from).collect();
    Ok(Json(Page::new(events, limit, |event: &EventBody| event.position.to_string())))
}
