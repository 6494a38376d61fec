//! One `CheckCompleted` as a row.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use pulsetrail_domain::check::{CheckResult, Failure, TimingsUs};
use pulsetrail_domain::{CheckId, MonitorId, Region};
use pulsetrail_infra::store::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{from_name, name_of};

/// A row of `checks`.
#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
pub(crate) struct CheckRow {
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) organization_id: Uuid,
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) monitor_id: Uuid,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) scheduled_at: DateTime<Utc>,
    pub(crate) position: i64,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) recorded_at: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    pub(crate) started_at: DateTime<Utc>,
    #[serde(with = "clickhouse::serde::uuid")]
    pub(crate) check_id: Uuid,
    pub(crate) region: String,
    pub(crate) outcome: String,
    pub(crate) http_status: Option<u16>,
    pub(crate) failure_cause: String,
    pub(crate) failure_detail: String,
    pub(crate) timing_dns: u32,
    pub(crate) timing_connect: u32,
    pub(crate) timing_tls: u32,
    pub(crate) timing_first_byte: u32,
    pub(crate) timing_total: u32,
    pub(crate) attempts: u32,
    pub(crate) config_version: i64,
    pub(crate) valid_for_ms: i64,
    /// As JSON; empty where there were none.
    pub(crate) findings: String,
}

/// A row holds what this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("the check at position {position} cannot be read: {reason}")]
pub(crate) struct UnreadableCheck {
    position: i64,
    reason: String,
}

impl CheckRow {
    /// The row of a check of `monitor_id` that `event` completed.
    pub(crate) fn new(event: &Event, monitor_id: MonitorId, result: &CheckResult) -> Self {
        let failure = result.failure.as_ref();
        Self {
            organization_id: event.organization_id.0,
            monitor_id: monitor_id.0,
            scheduled_at: result.scheduled_at,
            position: event.position.0,
            recorded_at: event.recorded_at,
            started_at: result.started_at,
            check_id: result.check_id.0,
            region: result.region.to_string(),
            outcome: name_of(&result.outcome),
            http_status: result.http_status,
            failure_cause: failure.map(|failure| name_of(&failure.cause)).unwrap_or_default(),
            failure_detail: failure.map(|failure| failure.detail.clone()).unwrap_or_default(),
            timing_dns: result.timings_us.dns,
            timing_connect: result.timings_us.connect,
            timing_tls: result.timings_us.tls,
            timing_first_byte: result.timings_us.first_byte,
            timing_total: result.timings_us.total,
            attempts: result.attempts,
            config_version: result.config_version,
            valid_for_ms: result.valid_for_ms,
            // What the event says in JSON can be said in JSON.
            findings: result
                .findings
                .as_ref()
                .and_then(|findings| serde_json::to_string(findings).ok())
                .unwrap_or_default(),
        }
    }

    /// The result as the event has it, to the microsecond.
    ///
    /// # Errors
    /// Where a newer version wrote what this one does not know.
    pub(crate) fn result(self) -> Result<CheckResult, UnreadableCheck> {
        let position = self.position;
        let unreadable = |reason: String| UnreadableCheck { position, reason };
        let failure = if self.failure_cause.is_empty() {
            None
        } else {
            let cause =
                from_name(&self.failure_cause).map_err(|error| unreadable(error.to_string()))?;
            Some(Failure { cause, detail: self.failure_detail })
        };
        Ok(CheckResult {
            check_id: CheckId(self.check_id),
            region: Region::try_from(self.region).map_err(|error| unreadable(error.to_string()))?,
            scheduled_at: self.scheduled_at,
            started_at: self.started_at,
            outcome: from_name(&self.outcome).map_err(|error| unreadable(error.to_string()))?,
            http_status: self.http_status,
            failure,
            timings_us: TimingsUs {
                dns: self.timing_dns,
                connect: self.timing_connect,
                tls: self.timing_tls,
                first_byte: self.timing_first_byte,
                total: self.timing_total,
            },
            attempts: self.attempts,
            config_version: self.config_version,
            valid_for_ms: self.valid_for_ms,
            findings: if self.findings.is_empty() {
                None
            } else {
                let findings = serde_json::from_str(&self.findings);
                Some(findings.map_err(|error| unreadable(error.to_string()))?)
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::{OrganizationId, Position, timestamp_from_millis};
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn a_result_survives_its_way_through_a_row() {
        let json = serde_json::json!({
            "check_id": "018f0000-0000-7000-8000-000000000001", "region": "eu",
            "scheduled_at": "2026-03-01T10:00:00.120Z", "started_at": "2026-03-01T10:00:00.123456Z",
            "outcome": "down", "http_status": 503,
            "failure": {"cause": "http_status_unexpected", "detail": "503 is not 2xx"},
            "timings_us": {"dns": 1, "connect": 2, "tls": 3, "first_byte": 4, "total": 10},
            "attempts": 2, "config_version": 3, "valid_for_ms": 130_000,
            "findings": {"answers": ["192.0.2.1"]},
        });
        let result: CheckResult = serde_json::from_value(json.clone()).unwrap();
        let event = Event {
            position: Position(7),
            organization_id: OrganizationId(Uuid::from_u128(1)),
            aggregate_type: "health".to_owned(),
            aggregate_id: Uuid::from_u128(2).to_string(),
            sequence: 1,
            event_type: "CheckCompleted".to_owned(),
            event_version: "1.0".to_owned(),
            recorded_at: timestamp_from_millis(5),
            payload: to_raw_value(&json).unwrap(),
        };
        let row = CheckRow::new(&event, MonitorId(Uuid::from_u128(2)), &result);
        assert_eq!(serde_json::to_value(row.result().unwrap()).unwrap(), json);
    }
}
