//! `/api/v1/monitors/{id}/annotations`: what people say about times of a monitor.

pub(super) mod annotate;
pub(super) mod withdraw;

use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::Problem;

use super::CommandState;

/// Refuses a monitor that is not the organization's. An archived one is: its history stays.
async fn require_monitor(
    state: &CommandState,
    organization_id: OrganizationId,
    monitor_id: MonitorId,
) -> Result<(), Problem> {
    let found: Option<i32> = sqlx::query_scalar(
        "select 1 from monitor_view where monitor_id = $1 and organization_id = $2",
    )
    .bind(monitor_id.0)
    .bind(organization_id.0)
    .fetch_optional(&state.store.read)
    .await?;
    found.map(|_| ()).ok_or_else(Problem::not_found)
}
