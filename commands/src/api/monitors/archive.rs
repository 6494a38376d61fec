//! `DELETE /api/v1/monitors/{id}`: a monitor ends, its history stays.

use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::monitor::MonitorCommand;
use pulsetrail_infra::http::Problem;

use super::super::CommandState;
use super::response::Addressed;

/// Archives a monitor: 204, also of one that is archived already.
pub(crate) async fn archive(
    State(state): State<CommandState>,
    addressed: Addressed,
) -> Result<StatusCode, Problem> {
    addressed.execute(&state, MonitorCommand::Archive).await?;
    Ok(StatusCode::NO_CONTENT)
}
