//! A version conflict is told apart from every other unique violation.

use pulsetrail_domain::OrganizationId;
use pulsetrail_infra::store::{Append, NewEvent, Store, StoreError, append_batch};
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
