//! `replay`, `replay_first_row_ms` and `replay_rss_mb`: reading the whole log in order.

use std::fs;
use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use pulsetrail_domain::Position;
use pulsetrail_infra::store::{Replay, Store};
use sqlx::Row as _;
use uuid::Uuid;

use crate::fixture::{checks, empty_store, monitors};
use crate::table::{Row, Table};

const FEW: i64 = 100_000;
const MANY: i64 = 2_000_000;
const RUNS: usize = 3;

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let (_corner, store) = empty_store().await;
    fill(&store, FEW).await;
    let few = peak_mb(&store, FEW).await;
    fill(&store, MANY - FEW).await;
    let first_row = first_row_ms(&store).await;
    if wanted("replay_rss_mb") {
        table.push(Row {
            name: "replay_rss_mb".to_owned(),
            value: peak_mb(&store, MANY).await,
            unit: "MB",
            reference: "the peak while 100,000 events are read, instead of 2,000,000".to_owned(),
            reference_value: few,
        });
    }
    if wanted("replay") {
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(replay_rate(&store).await);
            raw.push(select_rate(&store).await);
        }
        table.push(Row {
            name: "replay".to_owned(),
            value: median(&mut ours),
            unit: "/s",
            reference: "a raw SELECT of the same 2,000,000 rows, each column read".to_owned(),
            reference_value: median(&mut raw),
        });
    }
    if wanted("replay_first_row_ms") {
        table.push(first_row);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Adds rows as the recorder writes them: 1,000 monitors take turns. Postgres multiplies them itself,
/// because sending two million would take longer than everything that is measured.
async fn fill(store: &Store, rows: i64) {
    let monitors = monitors(1_000);
    let samples = checks(&monitors, 0);
    let ids: Vec<&str> = samples.iter().map(|append| append.aggregate_id.as_str()).collect();
    let payloads: Vec<&str> = samples.iter().map(|append| &*append.events[0].payload).collect();
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                             event_type, event_version, payload, metadata)
         select 'health', id, round, $3, 'CheckCompleted', '1.1', payload::json, '{}'
         from generate_series(1, $4) as round
         cross join unnest($1::text[], $2::text[]) as one (id, payload)",
    )
    .bind(ids)
    .bind(payloads)
    .bind(Uuid::from_u128(7))
    .bind(rows / 1_000)
    .execute(&store.read)
    .await
    .expect("the rows are stored");
    sqlx::raw_sql("vacuum analyze events").execute(&store.read).await.expect("statistics");
}

async fn replay_rate(store: &Store) -> f64 {
    let begun = Instant::now();
    let mut events = Replay::after(&store.read, Position::START);
    let (mut count, mut bytes) = (0_i64, 0);
    while let Some(event) = events.next().await {
        count += 1;
        bytes += event.expect("an event").payload.get().len();
    }
    assert_eq!(count, MANY);
    assert!(bytes as i64 > 100 * MANY, "the payloads are the full ones");
    count as f64 / begun.elapsed().as_secs_f64()
}

async fn select_rate(store: &Store) -> f64 {
    let begun = Instant::now();
    let mut rows = sqlx::query(
        "select position, organization_id, aggregate_type, aggregate_id, sequence,
                event_type, event_version, recorded_at, payload
         from events order by position",
    )
    .fetch(&store.read);
    let mut count = 0_i64;
    while let Some(row) = rows.try_next().await.expect("a row") {
        let _: (i64, Uuid, i64, chrono::DateTime<chrono::Utc>) =
            (row.get(0), row.get(1), row.get(4), row.get(7));
        for text in [2, 3, 5, 6, 8] {
            std::hint::black_box(row.try_get_unchecked::<String, _>(text).expect("a text"));
        }
        count += 1;
    }
    assert_eq!(count, MANY);
    count as f64 / begun.elapsed().as_secs_f64()
}

/// From the call to the first event of the whole log, on a connection that is open.
async fn first_row_ms(store: &Store) -> Row {
    let mut milliseconds = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        Replay::after(&store.read, Position::START).next().await.expect("one").expect("an event");
        milliseconds.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    let begun = Instant::now();
    sqlx::query("select position, payload from events order by position limit 1")
        .fetch_one(&store.read)
        .await
        .expect("a row");
    Row {
        name: "replay_first_row_ms".to_owned(),
        value: median(&mut milliseconds),
        unit: "ms",
        reference: "a raw SELECT of the first row alone".to_owned(),
        reference_value: begun.elapsed().as_secs_f64() * 1_000.0,
    }
}

/// The most memory that this process has while it reads so many events.
async fn peak_mb(store: &Store, events: i64) -> f64 {
    // 5 resets the peak: proc(5).
    fs::write("/proc/self/clear_refs", "5").expect("the peak is reset");
    let read = Replay::after(&store.read, Position::START)
        .try_fold(0_i64, |count, _| std::future::ready(Ok(count + 1)));
    assert_eq!(read.await.expect("events"), events);
    let status = fs::read_to_string("/proc/self/status").expect("the status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    let kilobytes: f64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1_024.0
}
