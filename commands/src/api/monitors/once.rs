//! A command to a monitor that has its effect once for an `Idempotency-Key`.

use pulsetrail_domain::monitor::MonitorRequest;
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::{Problem, is_done, note_done};
use pulsetrail_infra::store::StoredMonitor;
use uuid::Uuid;

use super::super::CommandState;
use crate::accounts::Metadata;

/// Where an event's metadata keeps the mark of the request that led to it.
const MARK: &str = "idempotency";

/// A monitor, and the mark of a request to change it: the id that its key leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marked {
    pub(super) organization_id: OrganizationId,
    pub(super) monitor_id: MonitorId,
    pub(super) mark: Uuid,
}

impl Marked {
    /// The monitor as it is now, if the request had its effect before, whatever others did since.
    pub(super) async fn done_before(
        &self,
        state: &CommandState,
    ) -> Result<Option<StoredMonitor>, Problem> {
        let done = self.is_in_the_log(state).await?
            || is_done(&state.store.read, self.organization_id, self.mark).await?;
        if !done {
            return Ok(None);
        }
        Ok(Some(state.monitors.load(self.organization_id, self.monitor_id).await?))
    }

    /// Carries the request out. Its mark is in the event itself: what was committed is known by it,
    /// whoever crashed afterwards. Where there was nothing to do no event says so, and it is noted.
    pub(super) async fn carry_out(
        &self,
        state: &CommandState,
        request: MonitorRequest,
        mut metadata: Metadata,
    ) -> Result<StoredMonitor, Problem> {
        metadata.insert(MARK.to_owned(), self.mark.to_string());
        let (organization_id, monitor_id) = (self.organization_id, self.monitor_id);
        let monitor =
            state.monitors.execute(organization_id, monitor_id, request, metadata).await?;
        if !self.is_in_the_log(state).await? {
            note_done(&state.store.write, organization_id, self.mark).await?;
        }
        Ok(monitor)
    }

    async fn is_in_the_log(&self, state: &CommandState) -> Result<bool, Problem> {
        let found = sqlx::query_scalar(
            "select exists (select from events where aggregate_type = 'monitor'
                and aggregate_id = $1 and metadata ->> 'idempotency' = $2)",
        )
        .bind(self.monitor_id.to_string())
        .bind(self.mark.to_string())
        .fetch_one(&state.store.read)
        .await?;
        Ok(found)
    }
}
