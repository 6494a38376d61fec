//! The projection is what the log says, however often it is written.

use serde_json::json;

use crate::cell::{Cell, Reader};

/// Every row as one text, duplicates already taken out by `final`.
pub(crate) async fn rows(cell: &Cell, table: &str) -> Vec<String> {
    let query =
        format!("select toString(tuple(*)) as row from {table} final order by position, row");
    cell.clickhouse.query(&query).fetch_all().await.unwrap()
}

async fn history(reader: &Reader<'_>) {
    for name in ["a", "b", "c"] {
        let monitor = reader.monitor(0, name, json!({})).await;
        for slot in 1..=20 {
            monitor.check(slot * 60, if slot == 7 { "down" } else { "up" }).await;
            if slot == 7 {
                monitor.went_down(7 * 60).await;
            }
            if slot == 8 {
                monitor.recovered(7 * 60, 8 * 60).await;
            }
        }
        if name == "c" {
            monitor.command(2_000, "MonitorArchived").await;
        }
    }
}

async fn forget_the_checkpoint(cell: &Cell) {
    let forgotten = sqlx::query("delete from checkpoints where consumer = 'projector'");
    forgotten.execute(&cell.store.write).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_is_written_twice_changes_nothing() {
    let mut cell = Cell::start().await;
    history(&cell.reader().await).await;
    cell.projected().await;
    let before = (rows(&cell, "checks").await, rows(&cell, "transitions").await);
    assert_eq!((before.0.len(), before.1.len()), (60, 13));
    cell.stop_projector().await;
    forget_the_checkpoint(&cell).await;
    cell.start_projector();
    // Behind the last event, so that its row shows that everything before was written again.
    cell.reader().await.monitor(3_000, "later", json!({})).await;
    cell.projected().await;
    assert_eq!(rows(&cell, "checks").await, before.0);
    assert_eq!(rows(&cell, "transitions").await[..13], before.1);
    let twice: u64 = cell.clickhouse.query("select count() from checks").fetch_one().await.unwrap();
    assert!(twice >= 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_were_lost_are_rebuilt_from_the_log() {
    let mut cell = Cell::start().await;
    let reader = cell.reader().await;
    history(&reader).await;
    cell.projected().await;
    let before = (rows(&cell, "checks").await, rows(&cell, "transitions").await);
    drop(reader);

    // Lost while the projector was away.
    cell.stop_projector().await;
    drop_database(&cell).await;
    cell.start_projector();
    cell.projected().await;
    assert_eq!((rows(&cell, "checks").await, rows(&cell, "transitions").await), before);
    assert_eq!(rows(&cell, "schedules").await.len(), 4);

    // Emptied while it runs: the next event shows it.
    for table in ["checks", "transitions", "schedules", "projected"] {
        cell.clickhouse.query(&format!("truncate table {table}")).execute().await.unwrap();
    }
    cell.reader().await.monitor(3_000, "later", json!({})).await;
    cell.projected().await;
    assert_eq!(rows(&cell, "checks").await, before.0);
    assert_eq!(rows(&cell, "transitions").await[..13], before.1);

    // Made by a version that made other rows.
    cell.stop_projector().await;
    let older = "alter table projected update fingerprint = '' where kind = 'birth'
        settings mutations_sync = 2";
    cell.clickhouse.query(older).execute().await.unwrap();
    cell.clickhouse.query("truncate table schedules").execute().await.unwrap();
    cell.start_projector();
    pulsetrail_harness::eventually("its tables are made anew", async || {
        (rows(&cell, "schedules").await.len() == 5).then_some(())
    })
    .await;
    cell.projected().await;
    assert_eq!(rows(&cell, "checks").await, before.0);

    // Dropped while it runs.
    drop_database(&cell).await;
    cell.reader().await.monitor(3_001, "latest", json!({})).await;
    cell.projected().await;
    assert_eq!(rows(&cell, "checks").await, before.0);
}

pub(crate) async fn drop_database(cell: &Cell) {
    let query = format!("drop database {} sync", cell.corner.name);
    cell.clickhouse.clone().with_database("default").query(&query).execute().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_another_log_are_not_added_to() {
    let mut cell = Cell::start().await;
    history(&cell.reader().await).await;
    cell.projected().await;
    let before = rows(&cell, "checks").await;
    cell.stop_projector().await;
    for change in [
        "insert into projected (generation, kind, position, fingerprint)
         select generation, kind, position + 1, 'another event' from projected final
         where kind = 'mark'",
        "insert into checks (position, region) select 999999, 'of another log'",
    ] {
        cell.clickhouse.query(change).execute().await.unwrap();
    }
    cell.start_projector();
    pulsetrail_harness::eventually("the other log's rows are gone", async || {
        (rows(&cell, "checks").await == before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_at_fault_holds_up_nothing() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "shop", json!({})).await;
    monitor.append(1, "health", "CheckCompleted", json!({"nonsense": true})).await;
    monitor.append(2, "monitor", "MonitorDanced", json!({})).await;
    monitor.check(60, "up").await;
    cell.projected().await;
    assert_eq!(rows(&cell, "checks").await.len(), 1);
    assert_eq!(cell.log().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_that_goes_on_in_the_middle_knows_what_was_known() {
    let mut cell = Cell::start().await;
    let reader_id;
    {
        let reader = cell.reader().await;
        reader_id = reader.organization_id;
        let monitor = reader.monitor(0, "late", json!({})).await;
        // Newest of its region and down: an older success says nothing.
        monitor.check(120, "down").await;
        cell.projected().await;
    }
    cell.stop_projector().await;
    let (monitor,): (String,) = sqlx::query_as(
        "select aggregate_id from events where organization_id = $1 and aggregate_type = 'monitor'",
    )
    .bind(reader_id)
    .fetch_one(&cell.store.read)
    .await
    .unwrap();
    let old_success = json!({
        "check_id": uuid::Uuid::new_v4(), "region": "default",
        "scheduled_at": crate::cell::at(60), "started_at": crate::cell::at(60), "outcome": "up",
        "timings_us": {"dns": 1, "connect": 2, "tls": 3, "first_byte": 4, "total": 10},
        "attempts": 1, "config_version": 1, "valid_for_ms": 130_000,
    });
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, organization_id, event_type,
                             event_version, payload, metadata)
         values ('health', $1, 2, $2, 'CheckCompleted', '1.0', $3, '{}')",
    )
    .bind(&monitor)
    .bind(reader_id)
    .bind(old_success)
    .execute(&cell.store.write)
    .await
    .unwrap();
    cell.start_projector();
    cell.projected().await;
    assert_eq!(rows(&cell, "checks").await.len(), 2);
    assert_eq!(rows(&cell, "transitions").await.len(), 1);
}
