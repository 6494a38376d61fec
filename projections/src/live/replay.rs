//! Reading what a connection has not been sent yet: from memory where that reaches, and from the event
//! store where it does not.

use std::sync::Arc;

use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use pulsetrail_infra::store::{StoreError, read_monitors_after, read_organization_between};

use super::LiveHub;
use super::event::LiveEvent;
use super::memory::Page;
use super::rooms::Rooms;
use crate::backoff::Backoff;

/// How many events are read at a time.
const PAGE: usize = 256;
/// Of so many monitors the events are found one monitor at a time; of more, all events of their
/// organization between two positions are looked through.
const FEW_MONITORS: usize = 32;
/// How many positions are looked through for them at a time.
const STRETCH: i64 = 5_000;

/// A stretch of the log that a connection has not been sent.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    /// Everything up to there was sent.
    pub(super) at: Position,
    /// Everything behind there is in the connection's queue.
    pub(super) through: Position,
    /// Whose events are wanted; all of the organization's where there are none.
    monitors: Option<Arc<[MonitorId]>>,
}

impl Replay {
    pub(super) fn new(rooms: &Rooms, at: Position, through: Position) -> Self {
        let monitors = (!rooms.has_all()).then(|| rooms.named().collect());
        Self { at, through, monitors }
    }

    /// The next events. It tries again until it has them: an engine that is away delays them only.
    pub(super) async fn next_page(self, hub: LiveHub, organization_id: OrganizationId) -> Page {
        let mut backoff = Backoff::new();
        loop {
            let recent = hub.board().memory.page(organization_id, self.at, self.through, PAGE);
            if let Some(page) = recent {
                return page;
            }
            // The connections to Postgres are everybody's. It is never closed.
            let permit = hub.inner.lookups.acquire().await;
            let read = self.read(&hub, organization_id).await;
            drop(permit);
            match read {
                Ok(page) => return page,
                Err(error) => {
                    tracing::warn!(%error, "events for a subscriber cannot be read for now");
                    backoff.wait(&hub.inner.shutdown).await;
                }
            }
        }
    }

    async fn read(
        &self,
        hub: &LiveHub,
        organization_id: OrganizationId,
    ) -> Result<Page, StoreError> {
        let pool = &hub.inner.store.read;
        match &self.monitors {
            Some(few) if few.len() <= FEW_MONITORS => {
                let events = read_monitors_after(pool, few, self.at, PAGE as i64).await?;
                let reached = match events.last() {
                    Some(last) if events.len() == PAGE => last.event.position.min(self.through),
                    _ => self.through,
                };
                let events = events.iter().filter_map(|event| LiveEvent::new(&event.event));
                let events = events.filter(|event| event.position <= reached);
                Ok(Page { events: events.map(Arc::new).collect(), reached })
            }
            monitors => {
                let through = match monitors {
                    Some(_) => Position(self.at.0.saturating_add(STRETCH)).min(self.through),
                    None => self.through,
                };
                let (monitors, between) = (monitors.as_deref(), (self.at, through));
                let events = read_organization_between(
                    pool,
                    organization_id,
                    monitors,
                    between,
                    PAGE as i64,
                )
                .await?;
                let reached = match events.last() {
                    Some(last) if events.len() == PAGE => last.position,
                    _ => through,
                };
                let events = events.iter().filter_map(LiveEvent::new).map(Arc::new).collect();
                Ok(Page { events, reached })
            }
        }
    }
}
