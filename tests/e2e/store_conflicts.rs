//! A version conflict is told apart from every other unique violation, whatever a writer knows.

use pulsetrail_domain::{OrganizationId, Position};
use pulsetrail_infra::store::{
    Append, Guard, NewEvent, Store, StoreError, append_batch, append_batch_after, head,
};
use uuid::Uuid;

use crate::corner;

async fn store() -> (pulsetrail_harness::Corner, Store) {
    let corner = corner().await;
    let store = corner.store().await;
    store.migrate().await.unwrap();
    (corner, store)
}

/// Inserts as `postgres-es` does, which compares no heads.
async fn insert(store: &Store, id: &str, sequence: i64) -> Result<(), StoreError> {
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version,
                             payload, metadata)
         values ('test', $1, $2, 'Tested', '1.0', '{}',
                 '{\"organization_id\": \"00000000-0000-0000-0000-000000000001\"}')",
    )
    .bind(id)
    .bind(sequence)
    .execute(&store.write)
    .await?;
    Ok(())
}

/// Gives positions out again that were given before, as after a restore gone wrong.
async fn give_positions_out_again(store: &Store) {
    sqlx::raw_sql("alter table events alter column position restart")
        .execute(&store.read)
        .await
        .unwrap();
}

fn append(id: &str, expected: Option<i64>) -> Append {
    Append {
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
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_that_is_taken_is_a_version_conflict() {
    let (_corner, store) = store().await;
    insert(&store, "a", 1).await.unwrap();
    let conflict = insert(&store, "a", 1).await.unwrap_err();
    assert!(matches!(conflict, StoreError::VersionConflict(_)), "{conflict}");
    assert!(!conflict.blames_the_data(), "decided again it is stored");

    // A batch reports it instead, and stores the others.
    let outcome = append_batch(&store.write, &[append("a", Some(0)), append("b", Some(0))]).await;
    assert_eq!(outcome.unwrap().conflicts, [0]);
    // One that names an aggregate twice decided twice from one version.
    let twice = [append("c", Some(0)), append("c", Some(0))];
    let conflict = append_batch(&store.write, &twice).await.unwrap_err();
    assert!(matches!(conflict, StoreError::VersionConflict(_)), "{conflict}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_taken_is_none_and_no_fault_of_the_event() {
    let (_corner, store) = store().await;
    insert(&store, "a", 1).await.unwrap();
    give_positions_out_again(&store).await;
    let error = append_batch(&store.write, &[append("b", Some(0))]).await.unwrap_err();
    assert!(matches!(error, StoreError::Database(_)), "{error}");
    assert!(!error.blames_the_data(), "no message would go to the dead letters for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unique_violation_elsewhere_is_none_and_blames_the_data() {
    let (_corner, store) = store().await;
    let keep = async || -> Result<(), StoreError> {
        let snapshot = "insert into snapshots values ('test', 'a', 1, '{}')";
        sqlx::query(snapshot).execute(&store.write).await?;
        Ok(())
    };
    keep().await.unwrap();
    let error = keep().await.unwrap_err();
    assert!(matches!(error, StoreError::Database(_)), "{error}");
    assert!(error.blames_the_data());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_says_what_it_knows_is_told_what_moved_since() {
    let (_corner, store) = store().await;
    let guarded = |id: &str, expected, guard: &str, guard_expected| Append {
        guard: Some(Guard {
            aggregate_type: "test",
            aggregate_id: guard.to_owned(),
            expected: guard_expected,
        }),
        ..append(id, Some(expected))
    };
    let first = [append("a", Some(0)), append("b", Some(0)), append("c", Some(0))];
    let known = append_batch_after(&store.write, &first, Position::START).await.unwrap();
    assert_eq!((known.conflicts, known.moved), (vec![], Some(vec![])));
    assert_eq!(known.reached, head(&store.read).await.unwrap());

    // Somebody else appends: what it touched is a conflict, as itself and as a guard.
    insert(&store, "b", 2).await.unwrap();
    let batch = [
        append("a", Some(1)),
        append("b", Some(1)),
        guarded("d", 0, "b", 1),
        guarded("e", 0, "c", 1),
        append("f", None),
    ];
    let outcome = append_batch_after(&store.write, &batch, known.reached).await.unwrap();
    assert_eq!((outcome.conflicts, outcome.moved), (vec![1, 2], Some(vec!["b".to_owned()])));
    assert_eq!(outcome.reached, head(&store.read).await.unwrap());

    // Who has read it meanwhile is right about it, also where it says an earlier position.
    let ahead = append_batch_after(&store.write, &[append("b", Some(2))], known.reached).await;
    assert_eq!(ahead.unwrap().conflicts, Vec::<usize>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_wrong_about_what_it_knows_stores_nothing() {
    let (_corner, store) = store().await;
    insert(&store, "a", 1).await.unwrap();
    let newest = head(&store.read).await.unwrap();
    // It knows nothing of the event that it says it knows: the index finds out.
    let wrong = [append("b", Some(0)), append("a", Some(0))];
    let conflict = append_batch_after(&store.write, &wrong, newest).await.unwrap_err();
    assert!(matches!(conflict, StoreError::VersionConflict(_)), "{conflict}");
    assert_eq!(head(&store.read).await.unwrap(), newest, "all of it is refused");

    // What is more than it can be told of, or has not happened, makes every head be looked up.
    sqlx::raw_sql("alter table events alter column position restart with 20000")
        .execute(&store.read)
        .await
        .unwrap();
    insert(&store, "c", 1).await.unwrap();
    for known_through in [newest, Position(30_000)] {
        let batch = [append("a", Some(0)), append("c", Some(0))];
        let outcome = append_batch_after(&store.write, &batch, known_through).await.unwrap();
        assert_eq!((outcome.conflicts, outcome.moved), (vec![0, 1], None));
    }
}
