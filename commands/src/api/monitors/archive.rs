//! `DELETE /api/v1/monitors/{id}`: a monitor ends, its history stays.

use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::monitor::MonitorCommand;
use pulsetrail_infra::http::Problem;

use super::super::CommandState;
use super::super::no_body::NoBody;
use super::response::Addressed;

/// Archives a monitor: 204, also of one that is archived already.
#[utoipa::path(
    delete,
    path = "/api/v1/monitors/{id}",
    tag = "monitors",
    operation_id = "archiveMonitor",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed; another one is 412.", pattern = "^(\\*|\"[0-9]{1,18}\")$"),
    ),
    responses((status = 204, description = "It has ended.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn archive(
    State(state): State<CommandState>,
    addressed: Addressed,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    addressed.execute(&state, MonitorCommand::Archive).await?;
    Ok(StatusCode::NO_CONTENT)
}
