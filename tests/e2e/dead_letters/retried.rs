//! Retries of events: each is applied alone, and organizations come in turn.

use std::collections::BTreeMap;

use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use pulsetrail_harness::{Target, User, eventually};
use pulsetrail_infra::dead_letters::{EventRetry, Letter};
use pulsetrail_infra::store::{DecodeError, Store, read_after};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::corner;
use crate::recording::quiet_monitor;
use crate::schemas::append;

const CONSUMERS: [&str; 3] = ["projector", "scheduler", "views"];

/// The epochs of the leases of those who follow the log, and their checkpoints.
async fn standing(store: &Store) -> (BTreeMap<String, i64>, BTreeMap<String, i64>) {
    let epochs: Vec<(String, i64)> =
        sqlx::query_as("select name, epoch from leases where name = any($1)")
            .bind(&CONSUMERS[..])
            .fetch_all(&store.read)
            .await
            .unwrap();
    let checkpoints: Vec<(String, i64)> =
        sqlx::query_as("select consumer, position from checkpoints where consumer = any($1)")
            .bind(&CONSUMERS[..])
            .fetch_all(&store.read)
            .await
            .unwrap();
    (epochs.into_iter().collect(), checkpoints.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_of_an_event_leaves_lease_epoch_and_position_of_its_consumer_alone() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let stranger = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let store = corner.store().await;
    append(&store, organization, monitor, (2, "0.9")).await;
    let letters = eventually("each consumer of the log has set it aside", async || {
        let letters = user.get("/api/v1/dead-letters").await.body["items"].clone();
        (letters.as_array().unwrap().len() == CONSUMERS.len()).then_some(letters)
    })
    .await;
    let paths: Vec<String> = letters
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| format!("/api/v1/dead-letters/{}", letter["id"].as_str().unwrap()))
        .collect();
    // What comes after it has passed every consumer before the retries.
    quiet_monitor(&user, &target).await;
    let (epochs, before) = standing(&store).await;
    assert_eq!(epochs.len(), CONSUMERS.len());
    for path in &paths {
        let retried = user.post(&format!("{path}/retry"), &json!({})).await;
        assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.body);
    }
    for path in &paths {
        eventually("it was applied again, in vain", async || {
            (user.get(path).await.body["failures"] == 2).then_some(())
        })
        .await;
    }
    // Others go on, and nobody went back.
    quiet_monitor(&stranger, &target).await;
    let (epochs_after, after) = standing(&store).await;
    assert_eq!(epochs_after, epochs);
    for (consumer, position) in &before {
        assert!(after[consumer] >= *position, "{consumer} went back");
    }

    // No organization has more than its share of retries, and another still has its own.
    let path = format!("{}/retry", paths[0]);
    let mut asked = 0;
    while user.post(&path, &json!({})).await.status != StatusCode::TOO_MANY_REQUESTS {
        asked += 1;
        assert!(asked < 1_000, "there is no limit");
    }
    assert_eq!(stranger.post(&path, &json!({})).await.status, StatusCode::NOT_FOUND);

    // The control: a lease that runs out, as by a retry that begins anew, shows.
    sqlx::query(
        "update leases set expires_at = clock_timestamp() - interval '1 ms' where name = 'views'",
    )
    .execute(&store.read)
    .await
    .unwrap();
    eventually("another epoch has begun", async || {
        (standing(&store).await.0 != epochs).then_some(())
    })
    .await;
    app.stop().await;
}

/// A letter of an event whose retry was asked for.
async fn ask(store: &Store, organization: OrganizationId, sequence: i64) -> Position {
    let monitor = MonitorId(Uuid::now_v7());
    let position = append(store, organization, monitor, (sequence, "0.7")).await;
    let event = read_after(&store.read, Position(position.0 - 1), 1).await.unwrap().remove(0);
    let unknown = DecodeError::UnknownVersion {
        event_type: event.event_type.clone(),
        event_version: event.event_version.clone(),
    };
    let letter = Letter::of_event("views", &event, &unknown);
    letter.save(&mut store.read.acquire().await.unwrap()).await.unwrap();
    sqlx::query("update dead_letters set retried_at = clock_timestamp() where dead_letter_id = $1")
        .bind(letter.id)
        .execute(&store.read)
        .await
        .unwrap();
    position
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizations_retry_events_in_turn() {
    let store = {
        let corner = corner().await;
        let store = corner.store().await;
        store.migrate().await.unwrap();
        store
    };
    let [greedy, modest] = [1, 2].map(|id| OrganizationId(Uuid::from_u128(id)));
    for _ in 0..60 {
        ask(&store, greedy, 1).await;
    }
    let modest = ask(&store, modest, 1).await;
    let first = EventRetry::next(&store.read, "views").await.unwrap();
    assert_eq!(first.len(), 20);
    assert!(first[..2].iter().any(|retry| retry.event.position == modest));
    assert!(EventRetry::next(&store.read, "projector").await.unwrap().is_empty());
    // What was applied, and what failed again, gives its place to the next.
    for retry in &first {
        let unreadable = retry.event.monitor_event().unwrap_err();
        if retry.event.position == modest {
            retry.applied(&store.read).await.unwrap();
        } else {
            retry.failed(&store.read, &unreadable).await.unwrap();
        }
    }
    let second = EventRetry::next(&store.read, "views").await.unwrap();
    assert!(
        second
            .iter()
            .all(|retry| first.iter().all(|one| one.event.position != retry.event.position))
    );
}
