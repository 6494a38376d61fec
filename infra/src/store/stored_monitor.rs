//! A monitor out of the log.

use futures_util::TryStreamExt;
use pulsetrail_domain::monitor::{Monitor, MonitorEvent};
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp};
use sqlx::{PgExecutor, Row};

use super::StoreError;
use super::read::bare_event;

/// A monitor as its events tell it, with what callers are told besides.
#[derive(Clone, Debug, Default)]
pub struct StoredMonitor {
    /// The monitor; version 0 where there is none.
    pub monitor: Monitor,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When its newest event was recorded.
    pub changed_at: Timestamp,
    /// When it was paused last; none of one that never was.
    pub paused_at: Option<Timestamp>,
    /// The status that its checks had led to when it was loaded, and since when; none before the first
    /// result.
    pub health: Option<(String, Option<Timestamp>)>,
}

impl StoredMonitor {
    /// Whether it exists and is that organization's.
    pub(super) fn belongs_to(&self, organization_id: OrganizationId) -> bool {
        self.monitor.version > 0 && self.monitor.organization_id == organization_id
    }

    /// Takes note of when an event was recorded.
    pub(super) fn note(&mut self, event: &MonitorEvent, recorded_at: Timestamp) {
        match event {
            MonitorEvent::MonitorRegistered { .. } => self.registered_at = recorded_at,
            MonitorEvent::MonitorPaused {} => self.paused_at = Some(recorded_at),
            _ => {}
        }
        self.changed_at = recorded_at;
    }
}

/// A monitor from its events, in one round trip; version 0 where there are none.
///
/// # Errors
/// [`StoreError::Unreadable`] where an event cannot be read, [`StoreError::Database`].
pub(super) async fn load_monitor(
    executor: impl PgExecutor<'_>,
    monitor_id: MonitorId,
) -> Result<StoredMonitor, StoreError> {
    let mut rows = sqlx::query(
        "select position, events.organization_id, aggregate_type, aggregate_id, sequence, event_type,
                event_version, recorded_at, payload, status, status_since
         from events left join monitor_status on monitor_id = $2
         where aggregate_type = 'monitor' and aggregate_id = $1
         order by sequence",
    )
    .bind(monitor_id.to_string())
    .bind(monitor_id.0)
    .fetch(executor);
    let mut stored = StoredMonitor::default();
    while let Some(row) = rows.try_next().await? {
        let event = bare_event(&row)?;
        let decoded = event
            .monitor_event()
            .map_err(|source| StoreError::Unreadable { position: event.position.0, source })?;
        stored.note(&decoded, event.recorded_at);
        stored.monitor.apply_event(decoded);
        let status: Option<String> = row.try_get("status")?;
        let since = row.try_get("status_since")?;
        stored.health = status.map(|status| (status, since));
    }
    Ok(stored)
}
