//! One change of what is known of a monitor, as a row.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TransitionKind {
    /// `MonitorRegistered`.
    Registered,
    /// The first result that counts after a registration or a resume.
    Observed,
    /// `WentDown`.
    WentDown,
    /// `Recovered`.
    Recovered,
    /// `MonitorPaused`.
    Paused,
    /// `MonitorResumed`.
    Resumed,
    /// `ObservationResumed`: what the checks said before the pause is forgotten.
    ObservationResumed,
    /// `MonitorArchived`.
    Archived,
    /// `ObservationLost`.
    ObservationLost,
    /// `ObservationRegained`.
    ObservationRegained,
}

/// A row of `transitions`.
#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct TransitionRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) organization_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) monitor_id: Uuid,
    pub(crate) position: i64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) recorded_at: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) health: String,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) settled_at: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) check_id: Uuid,
    pub(crate) failure_cause: String,
    pub(crate) failure_detail: String,
}
