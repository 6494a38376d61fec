//! `POST /api/v1/monitors/{id}/pause` and `/resume`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use pulsetrail_domain::monitor::MonitorCommand;
use pulsetrail_infra::http::{IdempotencyKey, Problem};

use super::super::CommandState;
use super::super::no_body::NoBody;
use super::response::{Addressed, respond};

/// Stops the checks of a monitor for now: 200 with it, also where it is paused already.
#[utoipa::path(
    post,
    path = "/api/v1/monitors/{id}/pause",
    tag = "monitors",
    operation_id = "pauseMonitor",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed; another one is 412.", pattern = "^(\\*|\"[0-9]{1,18}\")$"),
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    responses((status = 200, description = "The monitor as it is then.", body = ref(pulsetrail_infra::http::schema_of::<pulsetrail_infra::http::MonitorBody>()), headers(("etag" = String, description = "Its version, for `If-Match`.")))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn pause(
    State(state): State<CommandState>,
    addressed: Addressed,
    key: IdempotencyKey,
    _: NoBody,
) -> Result<Response, Problem> {
    let monitor = addressed.execute_with_key(&state, key, MonitorCommand::Pause).await?;
    respond(&state, StatusCode::OK, addressed.monitor_id(), monitor)
}

/// Has a monitor checked again: 200 with it, also where it is not paused.
#[utoipa::path(
    post,
    path = "/api/v1/monitors/{id}/resume",
    tag = "monitors",
    operation_id = "resumeMonitor",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed; another one is 412.", pattern = "^(\\*|\"[0-9]{1,18}\")$"),
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    responses((status = 200, description = "The monitor as it is then.", body = ref(pulsetrail_infra::http::schema_of::<pulsetrail_infra::http::MonitorBody>()), headers(("etag" = String, description = "Its version, for `If-Match`.")))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn resume(
    State(state): State<CommandState>,
    addressed: Addressed,
    key: IdempotencyKey,
    _: NoBody,
) -> Result<Response, Problem> {
    let monitor = addressed.execute_with_key(&state, key, MonitorCommand::Resume).await?;
    respond(&state, StatusCode::OK, addressed.monitor_id(), monitor)
}
