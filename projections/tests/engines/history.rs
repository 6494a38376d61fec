//! Histories that are written by hand.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cell::{Reader, at};

impl Reader<'_> {
    /// A monitor that was registered at a moment.
    pub(crate) async fn monitor(&self, seconds: i64, name: &str, tags: Value) -> Monitor<'_> {
        let monitor = Monitor { reader: self, id: Uuid::new_v4() };
        let config = json!({
            "name": name, "target": {"type": "http", "url": format!("https://{name}.example/")},
            "interval_seconds": 60, "timeout_ms": 10_000, "retries": {}, "confirmations": 1,
            "regions": ["default"], "tags": tags,
        });
        let payload = json!({"monitor_id": monitor.id, "organization_id": self.organization_id,
                             "config": config});
        monitor.append(seconds, "monitor", "MonitorRegistered", payload).await;
        monitor
    }
}

/// A monitor whose history is written by hand.
pub(crate) struct Monitor<'a> {
    pub(crate) reader: &'a Reader<'a>,
    pub(crate) id: Uuid,
}

impl Monitor<'_> {
    /// Appends an event that was recorded at a moment, and returns its position.
    pub(crate) async fn append(
        &self,
        seconds: i64,
        aggregate: &str,
        name: &str,
        payload: Value,
    ) -> i64 {
        self.append_version(seconds, (aggregate, name, "1.0"), payload).await
    }

    /// The same of an event in a version of one's own.
    pub(crate) async fn append_version(
        &self,
        seconds: i64,
        (aggregate, name, version): (&str, &str, &str),
        payload: Value,
    ) -> i64 {
        sqlx::query_scalar(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                                 event_type, event_version, payload, metadata, recorded_at)
             select $1, $2, 1 + coalesce(max(sequence), 0), $3, $4, $7, $5, '{}', $6
             from events where aggregate_type = $1 and aggregate_id = $2
             returning position",
        )
        .bind(aggregate)
        .bind(self.id.to_string())
        .bind(self.reader.organization_id)
        .bind(name)
        .bind(payload)
        .bind(at(seconds))
        .bind(version)
        .fetch_one(&self.reader.cell.store.write)
        .await
        .unwrap()
    }

    /// A check of a slot, recorded a second after it.
    pub(crate) async fn check(&self, slot: i64, outcome: &str) -> i64 {
        let mut payload = json!({
            "check_id": Uuid::new_v4(), "region": "default", "scheduled_at": at(slot),
            "started_at": at(slot), "outcome": outcome, "attempts": 1, "config_version": 1,
            "timings_us": {"dns": 1, "connect": 2, "tls": 3, "first_byte": 4, "total": 10},
            "valid_for_ms": 130_000,
        });
        if outcome == "down" {
            payload["failure"] = json!({"cause": "connect_refused", "detail": "refused"});
        }
        self.append(slot + 1, "health", "CheckCompleted", payload).await
    }

    /// The same of a check that took so long, in microseconds: in all, and connecting; it had no TLS.
    pub(crate) async fn timed_check(&self, slot: i64, region: &str, (total, connect): (u32, u32)) {
        let payload = json!({
            "check_id": Uuid::new_v4(), "region": region, "scheduled_at": at(slot),
            "started_at": at(slot), "outcome": "up", "attempts": 1, "config_version": 1,
            "timings_us": {"dns": 0, "connect": connect, "tls": 0, "first_byte": 0, "total": total},
            "valid_for_ms": 130_000,
        });
        self.append(slot + 1, "health", "CheckCompleted", payload).await;
    }

    pub(crate) async fn went_down(&self, since: i64) -> i64 {
        let cause = json!({"cause": "connect_refused", "detail": "refused"});
        let payload = json!({"since": at(since), "cause": cause, "check_id": Uuid::new_v4()});
        self.append(since + 1, "health", "WentDown", payload).await
    }

    pub(crate) async fn recovered(&self, since: i64, until: i64) -> i64 {
        let payload = json!({"since": at(since), "down_for_ms": (until - since) * 1_000,
                             "check_id": Uuid::new_v4()});
        self.append(until + 1, "health", "Recovered", payload).await
    }

    pub(crate) async fn command(&self, seconds: i64, name: &str) -> i64 {
        self.append(seconds, "monitor", name, json!({})).await
    }

    /// A path below the monitor.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/monitors/{}{rest}", self.id)
    }
}
