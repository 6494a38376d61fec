//! `POST /api/v1/monitors/{id}/pause` and `/resume`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use pulsetrail_domain::monitor::MonitorCommand;
use pulsetrail_infra::http::Problem;

use super::super::CommandState;
use super::response::{Addressed, respond};

/// Stops the checks of a monitor for now: 200 with it, also where it is paused already.
pub(crate) async fn pause(
    State(state): State<CommandState>,
    addressed: Addressed,
) -> Result<Response, Problem> {
    let monitor = addressed.execute(&state, MonitorCommand::Pause).await?;
    respond(&state, StatusCode::OK, addressed.monitor_id(), monitor).await
}

/// Has a monitor checked again: 200 with it, also where it is not paused.
pub(crate) async fn resume(
    State(state): State<CommandState>,
    addressed: Addressed,
) -> Result<Response, Problem> {
    let monitor = addressed.execute(&state, MonitorCommand::Resume).await?;
    respond(&state, StatusCode::OK, addressed.monitor_id(), monitor).await
}
