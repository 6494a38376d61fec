//! `POST /api/v1/monitors/{id}/heartbeat-token`: another address for a heartbeat monitor's reports.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::health::HeartbeatPolicy;
use pulsetrail_domain::monitor::MonitorError;
use pulsetrail_infra::http::Problem;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::CommandState;
use super::super::no_body::NoBody;
use super::response::Addressed;
use crate::heartbeats;

/// Where a heartbeat monitor is reported to from now on.
#[derive(Serialize, JsonSchema)]
pub(crate) struct HeartbeatAddress {
    /// The path for its reports. It is a secret, and shown this once.
    heartbeat_path: String,
}

/// Gives a heartbeat monitor a new token: 200 with the path for its reports, which is shown once. The one
/// before is good no more. 409 of a monitor that is no heartbeat, or is archived.
#[utoipa::path(
    post,
    path = "/api/v1/monitors/{id}/heartbeat-token",
    tag = "heartbeats",
    operation_id = "rotateHeartbeatToken",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is meant; another one is 412.", pattern = "^(\\*|\"[0-9]{1,18}\")$"),
    ),
    responses((status = 200, description = "The new path.", body = ref(pulsetrail_infra::http::schema_of::<HeartbeatAddress>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn rotate(
    State(state): State<CommandState>,
    addressed: Addressed,
    _: NoBody,
) -> Result<Json<HeartbeatAddress>, Problem> {
    let monitor = addressed.load(&state).await?.monitor;
    addressed.expected_version(&monitor)?;
    if monitor.archived {
        return Err(MonitorError::Archived.into());
    }
    if monitor.config.as_ref().and_then(HeartbeatPolicy::of).is_none() {
        let detail = "The monitor is no heartbeat: nothing reports to it.";
        return Err(Problem::new(StatusCode::CONFLICT, "not_a_heartbeat", detail));
    }
    let organization_id = addressed.identity().organization_id;
    let token =
        heartbeats::rotate(&state.store.write, addressed.monitor_id(), organization_id).await?;
    Ok(Json(HeartbeatAddress { heartbeat_path: heartbeats::path(token) }))
}
