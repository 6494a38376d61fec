//! Events that the projector could not read, and applies when somebody asks for it.

use pulsetrail_harness::eventually;
use pulsetrail_infra::dead_letters::{LetterStatus, Scope, StoredLetter, list, retry};
use pulsetrail_infra::store::{Upcaster, add_upcasters};
use serde_json::json;

use crate::cell::Cell;
use crate::history::Monitor;
use crate::projection::{drop_database, rows};

/// A pause in a version that never was: nobody knows it until [`know_it`].
const UNKNOWN_VERSION: &str = "0.5";

fn know_it() {
    add_upcasters(vec![Upcaster {
        aggregate: "monitor",
        event: "MonitorPaused",
        from: UNKNOWN_VERSION,
        to: "1.0",
        convert: None,
    }]);
}

/// Pauses a monitor as an unknown program would.
async fn pause(monitor: &Monitor<'_>, seconds: i64) {
    monitor.append_version(seconds, ("monitor", "MonitorPaused", UNKNOWN_VERSION), json!({})).await;
}

async fn letters(cell: &Cell) -> Vec<StoredLetter> {
    let letters = list(&cell.store.read, Scope::Everything, None, 100).await.unwrap();
    letters.into_iter().filter(|stored| stored.letter.consumer == "projector").collect()
}

async fn epoch(cell: &Cell) -> i64 {
    sqlx::query_scalar("select epoch from leases where name = 'projector'")
        .fetch_one(&cell.store.read)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_event_leads_to_the_rows_that_the_log_leads_to() {
    let mut cell = Cell::start().await;
    let first_id = {
        let reader = cell.reader().await;
        let first = reader.monitor(0, "a", json!({})).await;
        first.check(60, "up").await;
        pause(&first, 90).await;
        let second = reader.monitor(0, "b", json!({})).await;
        pause(&second, 90).await;
        second.command(120, "MonitorArchived").await;
        cell.projected().await;
        first.id
    };
    let set_aside = letters(&cell).await;
    assert_eq!(set_aside.len(), 2);
    // The control: without them other rows are there.
    let without = rows(&cell, "transitions").await;
    let epoch_before = epoch(&cell).await;

    know_it();
    let kafka = cell.corner.kafka();
    let producer = kafka.producer().unwrap();
    for stored in &set_aside {
        let id = stored.letter.id;
        retry(&cell.store, &kafka, &producer, Scope::Everything, id, "a test").await.unwrap();
    }
    eventually("both are applied", async || {
        let resolved = |stored: &StoredLetter| stored.status == LetterStatus::Resolved;
        letters(&cell).await.iter().all(resolved).then_some(())
    })
    .await;
    assert_eq!(epoch(&cell).await, epoch_before);
    {
        // The stream goes on from what was applied: while the monitor is paused no result is observed.
        let reader = cell.reader().await;
        let first = Monitor { reader: &reader, id: first_id };
        first.check(150, "down").await;
        first.went_down(150).await;
        cell.projected().await;
    }
    let with = rows(&cell, "transitions").await;
    assert_eq!(with.len(), without.len() + 3, "two pauses and what went down");
    let applied = (rows(&cell, "checks").await, with);
    cell.stop_projector().await;
    drop_database(&cell).await;
    cell.start_projector();
    cell.projected().await;
    assert_eq!((rows(&cell, "checks").await, rows(&cell, "transitions").await), applied);
}
