//! I1: who has read up to a position has seen every event at or below it that will ever exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pulsetrail_domain::{OrganizationId, Position};
use pulsetrail_harness::{Dice, is_soak};
use pulsetrail_infra::store::{Append, NewEvent, Store, StoreError, append_batch, read_after};
use uuid::Uuid;

use crate::corner;

const WRITERS: u64 = 16;

/// Appends of each writer: 200,000 in all in a long run.
fn appends() -> u64 {
    if is_soak() { 12_500 } else { 60 }
}

/// Appends of one writer: some slow, some rolled back. Without the store's own lock when told so.
async fn write(store: &Store, writer: u64, with_lock: bool) {
    let mut dice = Dice(writer);
    for number in 0..appends() {
        match write_one(store, &format!("{writer}-{number}"), with_lock, &mut dice).await {
            // On a busy machine a slow writer is taken for one that hangs, and others wait for it in
            // vain: what they wrote is rolled back.
            Err(StoreError::Database(error)) if is_out_of_time(&error) => {}
            written => written.unwrap(),
        }
    }
}

fn is_out_of_time(error: &sqlx::Error) -> bool {
    // idle_in_transaction_session_timeout and lock_timeout, and what an ended connection says afterwards.
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("25P03" | "55P03")) || matches!(error, sqlx::Error::Io(_))
}

async fn write_one(
    store: &Store,
    id: &str,
    with_lock: bool,
    dice: &mut Dice,
) -> Result<(), StoreError> {
    let organization_id = OrganizationId(Uuid::from_u128(1));
    let mut transaction = store.write.begin().await?;
    if with_lock {
        let append = Append {
            aggregate_type: "test",
            aggregate_id: id.to_owned(),
            organization_id,
            expected: Some(0),
            guard: None,
            events: vec![NewEvent {
                event_type: "Tested",
                event_version: "1.0",
                payload: "{}".to_owned(),
            }],
        };
        append_batch(&mut *transaction, &[append]).await?;
    } else {
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                                 event_type, event_version, payload, metadata)
             values ('test', $1, 1, $2, 'Tested', '1.0', '{}', '{}')",
        )
        .bind(id)
        .bind(organization_id.0)
        .execute(&mut *transaction)
        .await?;
    }
    tokio::time::sleep(Duration::from_micros(dice.roll(4_000))).await;
    match dice.roll(5) {
        0 => transaction.rollback().await?,
        _ => transaction.commit().await?,
    }
    Ok(())
}

/// Runs the writers with a following reader, and returns what the reader saw and what is stored.
async fn follow(store: &Store, with_lock: bool) -> (Vec<i64>, Vec<i64>) {
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let mut seen = Vec::new();
            loop {
                let last_look = done.load(Ordering::SeqCst);
                let after = Position(seen.last().copied().unwrap_or_default());
                let page = read_after(&store.read, after, 100).await.unwrap();
                seen.extend(page.iter().map(|event| event.position.0));
                if page.is_empty() && last_look {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { write(&store, writer, with_lock).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let seen = reader.await.unwrap();
    let stored = sqlx::query_scalar("select position from events order by position")
        .fetch_all(&store.read)
        .await
        .unwrap();
    (seen, stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_following_reader_sees_every_position_once_and_in_order() {
    let corner = corner().await;
    let store = Store::connect(&corner.urls.database_url, 20).await.unwrap();
    store.migrate().await.unwrap();
    let (seen, stored) = follow(&store, true).await;
    assert!(stored.len() > 500, "{}", stored.len());
    assert_eq!(seen, stored);
}

/// The positive control: the same test must notice a store that assigns positions out of order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_lock_the_reader_misses_events() {
    let corner = corner().await;
    let store = Store::connect(&corner.urls.database_url, 20).await.unwrap();
    store.migrate().await.unwrap();
    sqlx::query("alter table events disable trigger events_in_commit_order")
        .execute(&store.read)
        .await
        .unwrap();
    let (seen, stored) = follow(&store, false).await;
    assert!(seen.len() < stored.len(), "the reader saw all {} events", stored.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_reports_exactly_the_aggregates_that_moved() {
    let corner = corner().await;
    let store = corner.store().await;
    store.migrate().await.unwrap();
    let append = |id: &str, expected| Append {
        aggregate_type: "test",
        aggregate_id: id.to_owned(),
        organization_id: OrganizationId(Uuid::from_u128(1)),
        expected,
        guard: None,
        events: vec![NewEvent {
            event_type: "Tested",
            event_version: "1.0",
            payload: "{}".to_owned(),
        }],
    };
    let commit = async |batch: &[Append]| {
        let mut transaction = store.write.begin().await.unwrap();
        let outcome = append_batch(&mut *transaction, batch).await.unwrap();
        transaction.commit().await.unwrap();
        outcome.conflicts
    };
    assert_eq!(commit(&[append("a", Some(0)), append("b", Some(0))]).await, Vec::<usize>::new());
    let batch =
        [append("a", Some(0)), append("b", Some(1)), append("c", None), append("d", Some(3))];
    assert_eq!(commit(&batch).await, [0, 3]);
    let stored: Vec<(String, i64)> =
        sqlx::query_as("select aggregate_id, sequence from events order by position")
            .fetch_all(&store.read)
            .await
            .unwrap();
    let stored: Vec<(&str, i64)> = stored.iter().map(|(id, n)| (id.as_str(), *n)).collect();
    assert_eq!(stored, [("a", 1), ("b", 1), ("b", 2), ("c", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_hangs_under_the_lock_does_not_freeze_the_others() {
    let corner = corner().await;
    let store = corner.store().await;
    store.migrate().await.unwrap();
    let mut hanging = store.write.begin().await.unwrap();
    append_batch(&mut *hanging, &[]).await.unwrap();
    let begun = std::time::Instant::now();
    let mut waiting = store.write.begin().await.unwrap();
    append_batch(&mut *waiting, &[]).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    waiting.commit().await.unwrap();
    assert!(hanging.commit().await.is_err(), "the server ended the one that hung");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_append_only() {
    let corner = corner().await;
    let store = corner.store().await;
    store.migrate().await.unwrap();
    for statement in ["update events set payload = '{}'", "delete from events", "truncate events"] {
        let refused = sqlx::query(statement).execute(&store.read).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code()).unwrap().into_owned();
        assert_eq!(code, "23001", "{statement}");
    }
}
