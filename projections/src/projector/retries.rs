//! Events that somebody asked the projector to retry.

use pulsetrail_domain::Position;
use pulsetrail_infra::dead_letters::EventRetry;
use pulsetrail_infra::store::Event;

use super::batch::{Batch, Timelines};
use super::insert::insert;
use super::resume::load_timelines;
use super::{FLUSH_TIMEOUT, PROJECTOR, ProjectorError, Session};

impl Session<'_> {
    /// Applies the events that somebody asked to retry, beside the stream, whose mark and checkpoint stay.
    /// Nothing may be on its way to ClickHouse: `timelines` is what the rows up to the mark lead to.
    pub(super) async fn retry_events(
        &self,
        timelines: &mut Timelines,
    ) -> Result<(), ProjectorError> {
        for retry in EventRetry::next(&self.store.read, PROJECTOR).await? {
            if retry.event.position > self.written {
                // The stream brings it before it gets a mark.
                continue;
            }
            let applied = tokio::time::timeout(FLUSH_TIMEOUT, self.apply(&retry, timelines)).await;
            applied.map_err(|_elapsed| ProjectorError::TimedOut)??;
        }
        Ok(())
    }

    async fn apply(
        &self,
        retry: &EventRetry,
        timelines: &mut Timelines,
    ) -> Result<(), ProjectorError> {
        let event: &Event = &retry.event;
        let monitor = event.monitor_id();
        let before = Position(event.position.0 - 1);
        let mut then = load_timelines(self.client, before, monitor).await?;
        let mut batch = Batch::default();
        if let Err(error) = batch.take_one(&mut then, event) {
            retry.failed(&self.store.read, &error).await?;
            return Ok(());
        }
        insert(self.client, "checks", &batch.checks).await?;
        insert(self.client, "transitions", &batch.transitions).await?;
        insert(self.client, "schedules", &batch.schedules).await?;
        // Where no later transition is known, the stream goes on from this one.
        let now = load_timelines(self.client, self.written, monitor).await?;
        timelines.0.extend(now.0);
        retry.applied(&self.store.read).await?;
        Ok(())
    }
}
