//! One change of when a monitor is checked, as a row.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use pulsetrail_domain::monitor::MonitorEvent;
use pulsetrail_domain::schedule::{Cadence, Change};
use pulsetrail_domain::{MonitorId, Region};
use pulsetrail_infra::store::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A row of `schedules`.
#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct ScheduleRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) organization_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) monitor_id: Uuid,
    pub(crate) position: i64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) kind: String,
    pub(crate) interval_ms: i64,
    pub(crate) timeout_ms: i64,
    pub(crate) regions: Vec<String>,
}

/// A row holds what this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("the change of a schedule at position {0} cannot be read")]
pub(crate) struct UnreadableSchedule(i64);

impl ScheduleRow {
    /// The row of an event of a monitor.
    pub(crate) fn new(event: &Event, monitor_id: MonitorId, decoded: &MonitorEvent) -> Self {
        let (kind, cadence) = match Change::of(decoded) {
            Change::Registered(cadence) => ("registered", cadence),
            Change::Reconfigured(cadence) => ("reconfigured", cadence),
            Change::Paused => ("paused", Cadence::default()),
            Change::Resumed => ("resumed", Cadence::default()),
            Change::Archived => ("archived", Cadence::default()),
        };
        let Cadence { interval_ms, timeout_ms, regions } = cadence;
        Self {
            organization_id: event.organization_id.0,
            monitor_id: monitor_id.0,
            position: event.position.0,
            recorded_at: event.recorded_at,
            kind: kind.to_owned(),
            interval_ms,
            timeout_ms,
            regions: regions.into_iter().map(String::from).collect(),
        }
    }

    /// When it was, in ms since the epoch, and what it changed.
    ///
    /// # Errors
    /// When a newer version wrote what this one does not know.
    pub(crate) fn change(self) -> Result<(i64, Change), UnreadableSchedule> {
        let unreadable = UnreadableSchedule(self.position);
        let at_ms = self.recorded_at.timestamp_millis();
        let regions: Result<Vec<Region>, _> =
            self.regions.into_iter().map(Region::try_from).collect();
        let Ok(regions) = regions else { return Err(unreadable) };
        let cadence =
            Cadence { interval_ms: self.interval_ms, timeout_ms: self.timeout_ms, regions };
        let change = match self.kind.as_str() {
            "registered" => Change::Registered(cadence),
            "reconfigured" => Change::Reconfigured(cadence),
            "paused" => Change::Paused,
            "resumed" => Change::Resumed,
            "archived" => Change::Archived,
            _ => return Err(unreadable),
        };
        Ok((at_ms, change))
    }
}
