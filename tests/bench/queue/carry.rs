//! `monitors_at_60s`: how many monitors at 60 s this machine carries, with every engine on it.
//!
//! The installation gets more and more monitors until it does not keep up: checks begin too late, or
//! something grows that is to be done. `PULSETRAIL_SOAK=1` looks at each size for three minutes.

mod look;

use std::time::Duration;

use pulsetrail_domain::Region;
use pulsetrail_harness::{Corner, engines, is_soak};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::store::Store;
use tokio::time::sleep;

use self::look::{Look, backlog, look};
use super::monitors::{Kind, register};
use super::topic::read;
use super::{bare, target};
use crate::BINARY;
use crate::table::{Row, Table};

/// The sizes that are tried, one after the other.
const SIZES: [i64; 4] = [100_000, 180_000, 260_000, 340_000];
const INTERVAL: Duration = Duration::from_secs(60);
/// How late one check in a hundred may begin, at most, in ms.
const LATE_MS: i64 = 1_000;
/// How long what new monitors leave to be done may take, until the schedule alone is left: their first checks,
/// and their rows of the view, which commands would have written.
const SETTLING: Duration = Duration::from_secs(120);

pub(crate) async fn measure(table: &mut Table) {
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let app = corner.start().await;
    let (store, kafka) = (corner.store().await, corner.kafka());
    let url = format!("http://{{host}}:{}/{{number}}", target::start().await);
    let kind = Kind { url: &url, interval_seconds: 60, age_seconds: 0 };
    let window = if is_soak() { 3 * INTERVAL } else { INTERVAL / 2 };

    let (mut monitors, mut carried, mut limit) = (Vec::new(), 0, String::from("nothing yet"));
    for size in SIZES {
        let more = size - i64::try_from(monitors.len()).expect("a count");
        monitors.extend(register(&store, more, &kind).await);
        let settled = settle(&store, &kafka, size).await;
        let found = look((&store, &kafka), app.pid(), &monitors, window).await;
        eprintln!("  {size} monitors: {found}");
        if let Some(fault) = fault(&found, size, settled) {
            limit = format!("{fault} at {size}");
            break;
        }
        carried = size;
    }
    app.stop().await;
    let jobs = read(&kafka, &kafka.topics.jobs(&Region::default())).await;
    let results = read(&kafka, &kafka.topics.results()).await;
    let some = &jobs[..jobs.len().min(30_000)];
    table.push(Row {
        name: "monitors_at_60s".to_owned(),
        value: carried as f64,
        unit: "",
        reference: format!("60 s of bare produce, consume, produce (limit: {limit})"),
        reference_value: 60.0 * bare::jobs_per_second(&kafka, some, &results[0]).await,
    });
}

/// Waits until the first checks of new monitors are done, and then for an interval, so that the schedule
/// alone is left; false when that takes too long.
async fn settle(store: &Store, kafka: &Kafka, size: i64) -> bool {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < SETTLING {
        sleep(Duration::from_secs(2)).await;
        if backlog(store, kafka).await.all() < under_way(size) {
            sleep(INTERVAL).await;
            return true;
        }
    }
    false
}

/// What is under way of so many monitors at most, and by how much it varies: two seconds of the schedule.
fn under_way(size: i64) -> i64 {
    (size / 60 * 2).max(500)
}

/// Why so many monitors are too many.
fn fault(found: &Look, size: i64, settled: bool) -> Option<&'static str> {
    if !settled {
        Some("what new monitors leave to be done is not done in time")
    } else if found.late_p99_ms > LATE_MS {
        Some("checks begin late")
    } else if found.missing * 100 > found.slots {
        Some("checks are missing")
    } else if found.backlog_after.all() > found.backlog_before.all() + under_way(size) {
        Some("the backlog grows")
    } else {
        None
    }
}
