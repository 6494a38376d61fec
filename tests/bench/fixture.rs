//! Monitors and results as an installation has them.

use chrono::Utc;
use pulsetrail_domain::catalogue::current_version;
use pulsetrail_domain::check::{CheckResult, Failure, FailureCause, Outcome, TimingsUs};
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::monitor::{Monitor, MonitorConfig, MonitorEvent};
use pulsetrail_domain::slot::{phase_ms, scheduled_check_id};
use pulsetrail_domain::{MonitorId, OrganizationId, Position, Region, timestamp_from_millis};
use pulsetrail_harness::{Corner, engines};
use pulsetrail_infra::store::{Append, NewEvent, Store, append_batch};
use serde_json::json;
use uuid::Uuid;

use crate::BINARY;

/// Whom everything belongs to.
pub(crate) const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(7));
const INTERVAL_MS: i64 = 60_000;

/// A corner of its own with an empty store.
pub(crate) async fn empty_store() -> (Corner, Store) {
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let store = corner.store().await;
    store.migrate().await.expect("the schema fits");
    (corner, store)
}

/// Ids as registrations make them.
pub(crate) fn monitors(count: usize) -> Vec<MonitorId> {
    (0..count).map(|_| MonitorId(Uuid::now_v7())).collect()
}

/// The result of a monitor's check in its `round`-th interval from five days ago on: one in a hundred
/// failed, and times vary as they do between a near host and a far one.
pub(crate) fn result(monitor: MonitorId, round: i64) -> CheckResult {
    let region = Region::default();
    let begin = (Utc::now().timestamp_millis() / 86_400_000 - 5) * 86_400_000;
    let slot_ms = begin + phase_ms(monitor, INTERVAL_MS) + round * INTERVAL_MS;
    let noise = monitor.0.as_u128() as u32 ^ (round as u32).wrapping_mul(0x9E37_79B9);
    let failed = noise.is_multiple_of(100);
    let connect = 300 + noise % 40_000;
    CheckResult {
        check_id: scheduled_check_id(monitor, &region, slot_ms),
        region,
        scheduled_at: timestamp_from_millis(slot_ms),
        started_at: timestamp_from_millis(slot_ms + i64::from(noise % 200)),
        outcome: if failed { Outcome::Down } else { Outcome::Up },
        http_status: Some(if failed { 503 } else { 200 }),
        failure: failed.then(|| Failure {
            cause: FailureCause::HttpStatusUnexpected,
            detail: "the status is 503, and one of 200-299 is expected".to_owned(),
        }),
        timings_us: TimingsUs {
            dns: 100 + noise % 3_000,
            connect,
            tls: connect * 2,
            first_byte: connect + noise % 90_000,
            total: connect * 4 + noise % 100_000,
        },
        attempts: 1,
        config_version: 1,
        valid_for_ms: 2 * INTERVAL_MS + 10_000,
        findings: None,
    }
}

/// One check of each of the given monitors, to be stored after `round` others.
pub(crate) fn checks(monitors: &[MonitorId], round: i64) -> Vec<Append> {
    monitors
        .iter()
        .map(|monitor| {
            let event = HealthEvent::CheckCompleted(Box::new(result(*monitor, round)));
            Append {
                aggregate_type: "health",
                aggregate_id: monitor.to_string(),
                organization_id: ORGANIZATION,
                expected: Some(round),
                guard: None,
                events: vec![NewEvent::health(*monitor, &event).expect("JSON")],
            }
        })
        .collect()
}

/// Stores a batch in a transaction of its own; returns the position of its last event.
pub(crate) async fn append(store: &Store, batch: &[Append]) -> Position {
    let outcome = append_batch(&store.write, batch).await.expect("the batch is stored");
    assert!(outcome.conflicts.is_empty(), "nobody else writes");
    outcome.reached
}

/// Registers monitors, without the views that nothing here reads.
pub(crate) async fn register(store: &Store, monitors: &[MonitorId]) {
    let config: MonitorConfig = serde_json::from_value(json!({
        "name": "example", "target": { "type": "http", "url": "https://example.com/" },
        "interval_seconds": 60, "timeout_ms": 10_000, "retries": {}, "confirmations": 1,
        "regions": ["default"], "tags": {},
    }))
    .expect("a configuration");
    for chunk in monitors.chunks(500) {
        let registrations = chunk.iter().map(|monitor_id| {
            let event = MonitorEvent::MonitorRegistered {
                monitor_id: *monitor_id,
                organization_id: ORGANIZATION,
                config: Box::new(config.clone()),
            };
            let tagged = serde_json::to_value(&event).expect("JSON");
            Append {
                aggregate_type: Monitor::AGGREGATE,
                aggregate_id: monitor_id.to_string(),
                organization_id: ORGANIZATION,
                expected: Some(0),
                guard: None,
                events: vec![NewEvent {
                    event_type: "MonitorRegistered",
                    event_version: current_version(Monitor::AGGREGATE, "MonitorRegistered")
                        .expect("the catalogue has it"),
                    payload: tagged["MonitorRegistered"].to_string(),
                }],
            }
        });
        append(store, &registrations.collect::<Vec<_>>()).await;
    }
}
