//! Monitors in great numbers, each with a URL of its own.

use pulsetrail_domain::MonitorId;
use pulsetrail_domain::catalogue::current_version;
use pulsetrail_domain::monitor::{Monitor, MonitorConfig, MonitorEvent};
use pulsetrail_infra::store::Store;
use serde_json::json;
use uuid::Uuid;

use crate::fixture::ORGANIZATION;

/// What monitors are to be like.
pub(super) struct Kind<'a> {
    /// A URL, in which `{number}` stands for the monitor's number and `{host}` for one of its hosts.
    pub(super) url: &'a str,
    pub(super) interval_seconds: u32,
    /// How long ago they were registered, in seconds: those of a moment ago are due at once.
    pub(super) age_seconds: i32,
}

/// Hosts of loopback, so that no host has more checks at once than a prober makes.
const HOSTS: i64 = 2_000;

/// Registers as many monitors. Postgres multiplies them itself, because sending a million would take
/// longer than what is measured.
pub(super) async fn register(store: &Store, count: i64, kind: &Kind<'_>) -> Vec<MonitorId> {
    let config: MonitorConfig = serde_json::from_value(json!({
        "name": "example", "target": {"type": "http", "url": "http://example.com/"},
        "interval_seconds": kind.interval_seconds,
        "timeout_ms": (kind.interval_seconds * 1_000).min(10_000),
        "retries": {}, "confirmations": 1, "regions": ["default"], "tags": {},
    }))
    .expect("a configuration");
    let event = MonitorEvent::MonitorRegistered {
        monitor_id: MonitorId(Uuid::nil()),
        organization_id: ORGANIZATION,
        config: Box::new(config),
    };
    let tagged = serde_json::to_value(&event).expect("JSON");
    let payload = tagged["MonitorRegistered"].to_string();
    let payload = payload.replace("http://example.com/", kind.url);
    let version = current_version(Monitor::AGGREGATE, "MonitorRegistered").expect("it is known");
    // A version 7 id, as registrations make them: the time, and 74 random bits.
    let ids: Vec<String> = sqlx::query_scalar(
        "with made as (
             select number, number % $5 as host,
                    substr(time, 1, 8) || '-' || substr(time, 9) || '-7'
                        || substr(gen_random_uuid()::text, 16) as id
             from generate_series(1, $1) as number
             cross join lateral lpad(
                 to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') as time
         )
         insert into events (recorded_at, aggregate_type, aggregate_id, sequence, organization_id,
                             event_type, event_version, payload, metadata)
         select clock_timestamp() - make_interval(secs => $6), 'monitor', id, 1, $2,
                'MonitorRegistered', $4,
                replace(replace(replace($3, '00000000-0000-0000-0000-000000000000', id),
                    '{number}', number::text),
                    '{host}', '127.' || (1 + host / 250) || '.7.' || (1 + host % 250))::json,
                '{}'
         from made
         returning aggregate_id",
    )
    .bind(count)
    .bind(ORGANIZATION.0)
    .bind(payload)
    .bind(version)
    .bind(HOSTS)
    .bind(f64::from(kind.age_seconds))
    .fetch_all(&store.read)
    .await
    .expect("the monitors are stored");
    ids.iter().map(|id| id.parse().expect("an id")).collect()
}
