//! `scheduler_1m`: a million monitors at 60 s in one scheduler.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::TryStreamExt as _;
use pulsetrail_domain::Region;
use pulsetrail_domain::slot::next_slot_ms;
use pulsetrail_harness::Corner;
use pulsetrail_infra::store::Store;
use sqlx::postgres::PgPoolCopyExt as _;
use tokio::time::{sleep, sleep_until};

use super::monitors::{Kind, register};
use super::topic::{Sent, read};
use crate::fixture::empty_store;
use crate::memory;
use crate::samples::Samples;
use crate::table::{Row, Table};

const MONITORS: i64 = 1_000_000;
const INTERVAL_MS: i64 = 60_000;
const URL: &str = "https://shop-{number}.example.com/health";
/// For how long emissions are looked at, after the first seconds.
const WINDOW_MS: i64 = 20_000;
const WARM_UP_MS: i64 = 5_000;
/// The time in which peaks are looked for.
const BIN_MS: i64 = 100;

pub(crate) async fn measure(table: &mut Table) {
    let (corner, store) = empty_store().await;
    let kafka = corner.kafka();
    let region = Region::default();
    kafka.ensure_topics(std::slice::from_ref(&region)).await.expect("topics");
    let empty_bytes = empty(&corner).await;
    let age_seconds = 86_400;
    let kind = Kind { url: URL, interval_seconds: 60, age_seconds };
    let monitors = register(&store, MONITORS, &kind).await;
    sqlx::raw_sql("vacuum analyze events").execute(&store.read).await.expect("statistics");
    // Once for the caches, and once for the clock.
    copy_s(&store).await;
    let raw_s = copy_s(&store).await;

    let begun = Instant::now();
    let scheduler = corner.role("scheduler").await.until_ready().await;
    let load_s = begun.elapsed().as_secs_f64();
    let loaded_bytes = memory::resident_bytes(scheduler.pid()) - empty_bytes;
    let from_ms = Utc::now().timestamp_millis() + WARM_UP_MS;
    sleep(Duration::from_millis((WARM_UP_MS + WINDOW_MS).unsigned_abs())).await;
    let emitting_bytes = memory::resident_bytes(scheduler.pid()) - empty_bytes;
    assert!(scheduler.stop().await.success());
    let mut jobs = read(&kafka, &kafka.topics.jobs(&region)).await;
    let mut slots: Vec<i64> =
        monitors.iter().map(|one| next_slot_ms(*one, INTERVAL_MS, from_ms)).collect();
    let until_ms = from_ms + WINDOW_MS;
    slots.retain(|slot_ms| *slot_ms < until_ms);
    jobs.retain(|job| (from_ms..until_ms).contains(&job.slot_ms()));
    assert!(jobs.len() * 100 >= slots.len() * 99, "{} jobs, {} slots", jobs.len(), slots.len());

    let facts = 16 + 16 + 8 + URL.len() - "{number}".len() + "123456".len();
    let bytes =
        [("scheduler_1m_bytes", loaded_bytes), ("scheduler_1m_emitting_bytes", emitting_bytes)];
    for (name, bytes) in bytes {
        table.push(Row {
            name: name.to_owned(),
            value: bytes / MONITORS as f64,
            unit: "B",
            reference: "a monitor's id, organization, next slot and URL, packed".to_owned(),
            reference_value: facts as f64,
        });
    }
    table.push(Row {
        name: "scheduler_1m_load_s".to_owned(),
        value: load_s,
        unit: "s",
        reference: "a raw COPY of the same rows in the same order".to_owned(),
        reference_value: raw_s,
    });
    let emitted: Vec<i64> = jobs.iter().map(|job| job.at_ms).collect();
    table.push(Row {
        name: "scheduler_1m_peak_to_mean".to_owned(),
        value: peak_to_mean(&emitted, from_ms),
        unit: "",
        reference: "the slots themselves, as chance has spread them".to_owned(),
        reference_value: peak_to_mean(&slots, from_ms),
    });
    let mut timer = bare_timer(&monitors[..monitors.len().min(200_000)]).await;
    let reference = "a bare timer that sleeps until each slot";
    lateness(&jobs).report(table, "scheduler_1m_lateness_ms", reference, &mut timer, 1.0);
}

/// What a scheduler takes that has nothing to schedule.
async fn empty(corner: &Corner) -> f64 {
    let scheduler = corner.role("scheduler").await.until_ready().await;
    let bytes = memory::resident_bytes(scheduler.pid());
    assert!(scheduler.stop().await.success());
    bytes
}

async fn copy_s(store: &Store) -> f64 {
    let begun = Instant::now();
    let rows = store.read.copy_out_raw(
        "copy (select position, organization_id, aggregate_type, aggregate_id, sequence, event_type,
                      event_version, recorded_at, payload, metadata
               from events where aggregate_type = 'monitor' order by aggregate_id, sequence)
         to stdout",
    );
    let mut rows = rows.await.expect("a copy");
    let mut bytes = 0;
    while let Some(piece) = rows.try_next().await.expect("a piece") {
        bytes += piece.len();
    }
    assert!(bytes as i64 > 100 * MONITORS, "{bytes} bytes");
    begun.elapsed().as_secs_f64()
}

/// From each slot to when its job was written.
fn lateness(jobs: &[Sent]) -> Samples {
    let mut samples = Samples::default();
    for job in jobs {
        samples.add((job.at_ms - job.slot_ms()) as f64);
    }
    samples
}

/// The most of the given times in a bin, in means of all bins.
fn peak_to_mean(times_ms: &[i64], from_ms: i64) -> f64 {
    let mut bins = vec![0_u32; usize::try_from(WINDOW_MS / BIN_MS).expect("some bins")];
    for at_ms in times_ms {
        let bin = usize::try_from((at_ms - from_ms).div_euclid(BIN_MS)).ok();
        if let Some(count) = bin.and_then(|bin| bins.get_mut(bin)) {
            *count += 1;
        }
    }
    let sum: u32 = bins.iter().sum();
    let mean = f64::from(sum) / bins.len() as f64;
    f64::from(bins.iter().copied().max().unwrap_or_default()) / mean
}

/// Sleeps until each slot of the next seconds, and does nothing else. Measured as jobs are, in whole ms.
async fn bare_timer(monitors: &[pulsetrail_domain::MonitorId]) -> Samples {
    let now_ms = Utc::now().timestamp_millis();
    let begun = tokio::time::Instant::now();
    let mut slots: Vec<i64> =
        monitors.iter().map(|one| next_slot_ms(*one, INTERVAL_MS, now_ms)).collect();
    slots.retain(|slot_ms| *slot_ms < now_ms + WINDOW_MS / 4);
    slots.sort_unstable();
    let mut samples = Samples::default();
    for slot_ms in slots {
        if slot_ms > Utc::now().timestamp_millis() {
            sleep_until(begun + Duration::from_millis((slot_ms - now_ms).unsigned_abs())).await;
        }
        samples.add((Utc::now().timestamp_millis() - slot_ms).max(0) as f64);
    }
    samples
}
