//! Slots that were due and have no result.

use std::collections::BTreeSet;

use chrono::SecondsFormat;
use pulsetrail_domain::schedule::{Cadence, Change, SlotRun, SlotWindow, slots_due};
use pulsetrail_domain::{MonitorId, Region};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cell::{Cell, at};
use crate::history::Monitor;

const EU: &str = "eu";
const US: &str = "us";

fn config(interval_seconds: u32, regions: &[&str]) -> Value {
    json!({
        "name": "shop", "target": {"type": "http", "url": "https://shop.example/"},
        "interval_seconds": interval_seconds, "timeout_ms": 1_000, "retries": {},
        "confirmations": 1, "regions": regions, "tags": {},
    })
}

fn cadence(interval_ms: i64, regions: &[&str]) -> Cadence {
    let regions = regions.iter().map(|region| region.parse().unwrap()).collect();
    Cadence { interval_ms, timeout_ms: 1_000, regions }
}

fn ms(seconds: i64) -> i64 {
    at(seconds).timestamp_millis()
}

/// Every check that was due, by its region and its slot in ms.
fn due(monitor: Uuid, history: &[(i64, Change)], from: i64, to: i64) -> BTreeSet<(Region, i64)> {
    let window = SlotWindow { from_ms: ms(from), to_ms: ms(to), known_until_ms: i64::MAX };
    let runs = slots_due(MonitorId(monitor), history.to_vec(), window);
    let slots = |run: SlotRun| {
        let step = usize::try_from(run.interval_ms).unwrap();
        let slots: Vec<i64> = (run.first_ms..=run.last_ms).step_by(step).collect();
        let of_region = |region: Region| slots.iter().map(move |slot| (region.clone(), *slot));
        run.regions.clone().into_iter().flat_map(of_region).collect::<Vec<_>>()
    };
    runs.into_iter().flat_map(slots).collect()
}

async fn record(monitor: &Monitor<'_>, check_id: Uuid, region: &str, slot_ms: i64) {
    let time = pulsetrail_domain::timestamp_from_millis(slot_ms);
    let payload = json!({
        "check_id": check_id, "region": region, "scheduled_at": time, "started_at": time,
        "outcome": "up", "attempts": 1, "config_version": 1, "valid_for_ms": 130_000,
        "timings_us": {"dns": 1, "connect": 2, "tls": 3, "first_byte": 4, "total": 10},
    });
    let recorded = (slot_ms - ms(0)) / 1_000 + 1;
    monitor.append(recorded, "health", "CheckCompleted", payload).await;
}

async fn counts(monitor: &Monitor<'_>, from: i64, to: i64, more: &str) -> (u64, u64) {
    let text = |seconds| at(seconds).to_rfc3339_opts(SecondsFormat::Secs, true);
    let path = monitor.path(&format!("/uptime?from={}&to={}{more}", text(from), text(to)));
    let uptime = monitor.reader.read(&path).await;
    let count = |field: &str| uptime[field].as_u64().unwrap_or_else(|| panic!("{field}: {uptime}"));
    (count("checks_expected"), count("checks_missed"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_without_a_result_is_missed_and_only_a_scheduled_check_of_it_fills_it() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "shop", json!({})).await;
    let minutely = Cadence { timeout_ms: 10_000, ..cadence(60_000, &[Region::DEFAULT]) };
    let history = [
        (ms(0), Change::Registered(minutely)),
        (ms(600), Change::Paused),
        (ms(1_200), Change::Resumed),
        (ms(1_800), Change::Reconfigured(cadence(20_000, &[EU, US]))),
    ];
    let due = due(monitor.id, &history, -60, 2_400);
    // 10 minutes twice, each with one more at its begin, and 10 minutes of three slots in two regions.
    assert!((80..=84).contains(&due.len()), "{}", due.len());
    // The first is of the resumption, the others of one region of the two.
    let resumed = (Region::default(), ms(1_200));
    let in_us = due.iter().filter(|(region, _)| region.as_str() == US).take(3).cloned();
    let missed: BTreeSet<(Region, i64)> = in_us.chain([resumed]).collect();
    assert_eq!(missed.intersection(&due).count(), 4);
    // In the order of time: the log's clock does not go back.
    let mut filled: Vec<_> = due.difference(&missed).collect();
    filled.sort_by_key(|(_, slot_ms)| *slot_ms);
    let changed = json!({"config": config(20, &[EU, US])});
    let mut commands = vec![
        (1_800, "MonitorReconfigured", changed),
        (1_200, "MonitorResumed", json!({})),
        (600, "MonitorPaused", json!({})),
    ];
    for (region, slot_ms) in filled {
        while let Some((at, name, payload)) = commands.pop_if(|(at, ..)| ms(*at) < *slot_ms) {
            monitor.append(at, "monitor", name, payload).await;
        }
        record(&monitor, Uuid::new_v4(), region.as_str(), *slot_ms).await;
    }
    assert!(commands.is_empty());
    // What fills no slot: a check on demand, one beside every slot, and one of a region that was not to
    // check yet.
    let (us, slot_ms) = missed.iter().next_back().unwrap();
    record(&monitor, Uuid::now_v7(), us.as_str(), *slot_ms).await;
    record(&monitor, Uuid::new_v4(), us.as_str(), slot_ms + 1).await;
    record(&monitor, Uuid::new_v4(), US, ms(1_200)).await;
    cell.projected().await;

    let all = due.len() as u64;
    assert_eq!(counts(&monitor, -60, 2_400, "").await, (all, 4));
    assert_eq!(counts(&monitor, 600, 1_200, "").await.1, 0, "while it was paused");
    assert_eq!(counts(&monitor, 1_200, 1_201, "").await, (1, 1), "the resumption's own slot");
    assert_eq!(counts(&monitor, -600, 0, "").await, (0, 0), "before it was registered");
    // As it was known before the pause: what came after is not counted, what was not over is not due.
    let (before, missed_before) = counts(&monitor, -60, 2_400, "&as_of=2026-01-01T00:09:00Z").await;
    assert!((7..=9).contains(&before), "{before}");
    assert_eq!(missed_before, 0);

    // The control: a result that is taken out is missed.
    let taken_out = "alter table checks delete where region = 'eu' and scheduled_at = (
        select max(scheduled_at) from checks where region = 'eu') settings mutations_sync = 2";
    cell.clickhouse.query(taken_out).execute().await.unwrap();
    assert_eq!(counts(&monitor, -60, 2_400, "").await, (all, 5));
    let path = "/api/v1/uptime?from=2026-01-01T00:00:00Z&to=2026-01-01T00:40:00Z";
    let organization = reader.read(path).await;
    let sums = (&organization["checks_expected"], &organization["checks_missed"]);
    assert_eq!(sums, (&json!(all), &json!(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_runs_of_slots_than_one_query_takes_are_all_counted() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "restless", json!({})).await;
    // Each resumption is a slot of its own, and a run.
    for round in 0..700 {
        monitor.command(100 + round, "MonitorPaused").await;
        monitor.command(100 + round, "MonitorResumed").await;
        if round % 7 != 0 {
            record(&monitor, Uuid::new_v4(), Region::DEFAULT, ms(100 + round)).await;
        }
    }
    cell.projected().await;
    assert_eq!(counts(&monitor, 100, 820, "").await, (700 + 12, 100 + 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_heartbeat_nothing_is_missed() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "job", json!({})).await;
    let mut config = config(60, &[Region::DEFAULT]);
    config["target"] = json!({"type": "heartbeat", "grace_seconds": 5});
    monitor.append(0, "monitor", "MonitorReconfigured", json!({"config": config})).await;
    cell.projected().await;
    // It was registered as one that is checked, at once.
    assert_eq!(counts(&monitor, 0, 600, "").await, (1, 1));
    assert_eq!(counts(&monitor, 1, 600, "").await, (0, 0));
}
