//! A monitor as callers see it: the same after a command, alone, and in a list.

use std::collections::BTreeMap;

use pulsetrail_domain::monitor::{MonitorConfig, Retries, Target, Violation};
use pulsetrail_domain::{MonitorId, OrganizationId, Region, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgExecutor, Row};

use crate::instances::LiveProbers;
use crate::store::{StoreError, StoredMonitor};

/// The columns that [`MonitorBody::from_row`] reads, out of [`MONITOR_BODY_TABLES`].
pub const MONITOR_BODY_COLUMNS: &str = "monitor_view.monitor_id, monitor_view.config, \
    monitor_view.paused, monitor_view.version, monitor_view.registered_at, \
    monitor_view.changed_at, monitor_status.status, monitor_status.status_since, \
    case when monitor_view.paused then (\
        select max(events.recorded_at) from events where events.aggregate_type = 'monitor' \
        and events.aggregate_id = monitor_view.monitor_id::text \
        and events.event_type = 'MonitorPaused') end as paused_since";

/// Where a monitor's columns come from. Its archived monitors are not left out.
pub const MONITOR_BODY_TABLES: &str = "monitor_view left join monitor_status using (monitor_id)";

/// The status of a monitor that has no result yet.
const PENDING: &str = "pending";

/// A monitor as callers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MonitorBody {
    /// The monitor.
    pub id: MonitorId,
    /// Its name.
    pub name: String,
    /// What is checked.
    pub target: Target,
    /// `pending`, `up`, `down`, `unknown` or `paused`.
    pub status: String,
    /// Since when it has that status, where that is known.
    pub status_since: Option<Timestamp>,
    /// Seconds between two checks.
    pub interval_seconds: u32,
    /// How long a check may take in all, in ms.
    pub timeout_ms: u32,
    /// How a check tries again.
    pub retries: Retries,
    /// Failed checks in a row that make a region failing.
    pub confirmations: u32,
    /// Where it is checked from.
    pub regions: Vec<Region>,
    /// Those of them where no prober is alive: it is not checked from there.
    pub regions_without_prober: Vec<Region>,
    /// Failing regions that make it down; null for a majority.
    pub quorum: Option<u32>,
    /// Its labels.
    pub tags: BTreeMap<String, String>,
    /// Whether it is paused.
    pub paused: bool,
    /// Its version, which `ETag` and `If-Match` carry.
    pub version: i64,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When its newest command was recorded.
    pub changed_at: Timestamp,
    /// Where a heartbeat is reported to. It is a secret, and shown when the monitor is registered alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_path: Option<String>,
    /// What the monitor asks for that can never be true: in the answer to a command alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Violation>,
}

/// What a [`MonitorBody`] is put together from.
#[derive(Clone, Debug)]
pub struct MonitorParts {
    /// The monitor.
    pub id: MonitorId,
    /// How it is checked.
    pub config: MonitorConfig,
    /// Since when it is paused; none of one that is not.
    pub paused_since: Option<Timestamp>,
    /// Whether it is paused.
    pub paused: bool,
    /// Its version.
    pub version: i64,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// When its newest command was recorded.
    pub changed_at: Timestamp,
    /// The status that its checks led to; none before the first result.
    pub health: Option<(String, Option<Timestamp>)>,
}

impl MonitorBody {
    /// The body of a monitor.
    #[must_use]
    pub fn new(parts: MonitorParts) -> Self {
        let (status, status_since) = match parts.health {
            _ if parts.paused => ("paused".to_owned(), parts.paused_since),
            Some((status, since)) if status != PENDING => (status, since),
            _ => (PENDING.to_owned(), Some(parts.registered_at)),
        };
        let config = parts.config;
        Self {
            id: parts.id,
            name: config.name,
            target: config.target,
            status,
            status_since,
            interval_seconds: config.interval_seconds,
            timeout_ms: config.timeout_ms,
            retries: config.retries,
            confirmations: config.confirmations,
            regions: config.regions,
            regions_without_prober: Vec::new(),
            quorum: config.quorum,
            tags: config.tags,
            paused: parts.paused,
            version: parts.version,
            registered_at: parts.registered_at,
            changed_at: parts.changed_at,
            heartbeat_path: None,
            warnings: Vec::new(),
        }
    }

    /// The body of a monitor out of the log, as after a command; none of one that does not exist.
    #[must_use]
    pub fn of_stored(id: MonitorId, stored: StoredMonitor) -> Option<Self> {
        let StoredMonitor { monitor, registered_at, changed_at, paused_at, health } = stored;
        let config = monitor.config?;
        let warnings = config.target.warnings();
        let body = Self::new(MonitorParts {
            id,
            config,
            paused_since: paused_at,
            paused: monitor.paused,
            version: monitor.version,
            registered_at,
            changed_at,
            health,
        });
        Some(Self { warnings, ..body })
    }

    /// The same with the regions where none of `probers` is alive.
    #[must_use]
    pub fn probed_by(mut self, probers: &LiveProbers) -> Self {
        self.regions_without_prober = probers.missing_in(&self.regions);
        self
    }

    /// The body in a row that has [`MONITOR_BODY_COLUMNS`].
    ///
    /// # Errors
    /// When a column is missing or is not of its type.
    pub fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(config) = row.try_get::<Json<MonitorConfig>, _>("config")?;
        Ok(Self::new(MonitorParts {
            id: MonitorId(row.try_get("monitor_id")?),
            config,
            paused_since: row.try_get("paused_since")?,
            paused: row.try_get("paused")?,
            version: row.try_get("version")?,
            registered_at: row.try_get("registered_at")?,
            changed_at: row.try_get("changed_at")?,
            health: health(row)?,
        }))
    }

    /// The version as an entity tag (RFC 9110, 8.8.3).
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

fn health(row: &PgRow) -> Result<Option<(String, Option<Timestamp>)>, sqlx::Error> {
    let status: Option<String> = row.try_get("status")?;
    let since = row.try_get("status_since")?;
    Ok(status.map(|status| (status, since)))
}

/// A monitor out of the read model; none where there is none, it is another organization's, or it
/// is archived.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_monitor_body(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    monitor_id: MonitorId,
) -> Result<Option<MonitorBody>, StoreError> {
    let query = format!(
        "select {MONITOR_BODY_COLUMNS} from {MONITOR_BODY_TABLES}
         where monitor_view.monitor_id = $1 and monitor_view.organization_id = $2
           and not monitor_view.archived"
    );
    let row = sqlx::query(&query)
        .bind(monitor_id.0)
        .bind(organization_id.0)
        .fetch_optional(executor)
        .await?;
    Ok(row.as_ref().map(MonitorBody::from_row).transpose()?)
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::timestamp_from_millis;

    use super::*;

    fn parts() -> MonitorParts {
        let config = serde_json::json!({
            "name": "example", "target": {"type": "http", "url": "https://example.com"},
            "interval_seconds": 60, "timeout_ms": 10_000, "retries": {}, "confirmations": 1,
            "regions": ["default"], "tags": {},
        });
        MonitorParts {
            id: MonitorId::default(),
            config: serde_json::from_value(config).unwrap(),
            paused_since: None,
            paused: false,
            version: 3,
            registered_at: timestamp_from_millis(1),
            changed_at: timestamp_from_millis(2),
            health: None,
        }
    }

    #[test]
    fn a_monitor_without_a_result_is_pending_since_its_registration() {
        let body = MonitorBody::new(parts());
        assert_eq!(body.status, "pending");
        assert_eq!(body.status_since, Some(timestamp_from_millis(1)));
        assert_eq!(body.etag(), "\"3\"");
    }

    #[test]
    fn a_paused_monitor_is_paused_whatever_its_checks_said() {
        let down = Some(("down".to_owned(), Some(timestamp_from_millis(5))));
        let body = MonitorBody::new(MonitorParts { health: down.clone(), ..parts() });
        assert_eq!(body.status, "down");
        assert_eq!(body.status_since, Some(timestamp_from_millis(5)));
        let paused_since = Some(timestamp_from_millis(7));
        let body =
            MonitorBody::new(MonitorParts { health: down, paused: true, paused_since, ..parts() });
        assert_eq!(body.status, "paused");
        assert_eq!(body.status_since, paused_since);
    }
}
