//! A relay that is replaced without knowing it, one that begins anew, and publishing on request.

use std::time::Duration;

use pulsetrail_domain::OrganizationId;
use pulsetrail_harness::{Corner, Dice, within};
use pulsetrail_infra::store::{Append, NewEvent, Store, append_batch, head};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::topic::{Topic, checkpoint, until_published};
use super::{SETTLING, prepare, short_or_long};
use crate::corner;

/// Appends events of some aggregate.
pub(crate) async fn append(store: &Store, events: usize, payload: &str) {
    let event = NewEvent {
        event_type: "Tested",
        event_version: "1.0",
        payload: format!("{{\"text\":\"{payload}\"}}"),
    };
    let append = Append {
        aggregate_type: "test",
        aggregate_id: Uuid::now_v7().to_string(),
        organization_id: OrganizationId(Uuid::from_u128(1)),
        expected: Some(0),
        guard: None,
        events: vec![event; events],
    };
    append_batch(&store.write, &[append]).await.unwrap();
}

/// Appends a few events every few milliseconds.
async fn keep_appending(store: &Store, done: &CancellationToken) {
    let mut dice = Dice(0x5EED_0003);
    while !done.is_cancelled() {
        append(store, 1 + usize::try_from(dice.roll(8)).unwrap(), "").await;
        tokio::time::sleep(Duration::from_millis(dice.roll(10))).await;
    }
}

/// Notes every change of the relay's checkpoint. `forgetful` is a checkpoint that knows no epoch.
async fn watch_the_checkpoint(store: &Store, forgetful: bool) {
    let forget = if forgetful { "new.epoch := 0;" } else { "" };
    sqlx::raw_sql(&format!(
        "create table moves (number bigint generated always as identity, epoch bigint, position bigint);
         create function note_move() returns trigger language plpgsql as $$
         begin
             insert into moves (epoch, position) values (new.epoch, new.position);
             {forget}
             return new;
         end $$;
         create trigger note_move before insert or update on checkpoints
             for each row when (new.consumer = 'relay') execute function note_move();"
    ))
    .execute(&store.read)
    .await
    .unwrap();
}

/// Stops a relay while it has published more than it noted, lets a standby take over, continues the
/// first, and has it take over again.
async fn replace(corner: &Corner, store: &Store, topic: &mut Topic) {
    let first = corner.role("relay").await.until_ready().await;
    within(SETTLING, "the first one works", async || {
        let held = "select exists (select from leases where name = 'relay')";
        let held: bool = sqlx::query_scalar(held).fetch_one(&store.read).await.unwrap();
        held.then_some(())
    })
    .await;
    let second = corner.role("relay").await.until_ready().await;
    topic.read_until("events come", |topic| topic.seen.len() > 200).await;

    let mut gate = store.read.begin().await.unwrap();
    let (noted,): (i64,) =
        sqlx::query_as("select position from checkpoints where consumer = 'relay' for update")
            .fetch_one(&mut *gate)
            .await
            .unwrap();
    let ahead = |topic: &Topic| topic.applied.last().is_some_and(|last| last.0 > noted + 100);
    topic.read_until("more is published than noted", ahead).await;
    let (_, epoch) = checkpoint(store).await;
    first.signal("-STOP");
    gate.rollback().await.unwrap();
    within(SETTLING, "the standby has taken over", async || {
        let epoch_now = "select epoch from leases where name = 'relay' and expires_at > now()";
        let now: Option<i64> =
            sqlx::query_scalar(epoch_now).fetch_optional(&store.read).await.unwrap();
        (now? > epoch).then_some(())
    })
    .await;
    let count = topic.seen.len();
    topic.read_until("the standby publishes", |topic| topic.seen.len() > count + 200).await;
    first.signal("-CONT");
    let count = topic.seen.len();
    topic.read_until("both have gone on", |topic| topic.seen.len() > count + 200).await;
    assert!(second.stop().await.success());
    let count = topic.applied.len();
    topic.read_until("the first works again", |topic| topic.applied.len() > count + 100).await;
    assert!(first.stop().await.success());
}

/// The epochs and positions to which the checkpoint was moved, in order.
async fn replaced(corner: &Corner, store: &Store, forgetful: bool) -> (Topic, Vec<(i64, i64)>) {
    watch_the_checkpoint(store, forgetful).await;
    let done = CancellationToken::new();
    let mut topic = Topic::of(corner);
    tokio::join!(keep_appending(store, &done), async {
        for _ in 0..short_or_long(1, 10) {
            replace(corner, store, &mut topic).await;
        }
        done.cancel();
    });
    let relay = corner.role("relay").await;
    topic.until_complete(store).await;
    until_published(store).await;
    assert!(relay.stop().await.success());
    let moves = sqlx::query_as("select epoch, position from moves order by number")
        .fetch_all(&store.read)
        .await
        .unwrap();
    (topic, moves)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_relay_was_stopped_replaced_and_continued_each_position_is_applied_once_in_order() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let (topic, moves) = replaced(&corner, &store, false).await;
    // What was applied was compared with the log. The control: a consumer that drops nothing.
    assert!(topic.repeated() > 0, "a consumer that drops nothing sees no repetition");
    assert!(moves.is_sorted(), "the checkpoint was moved by one that had been replaced: {moves:?}");
}

/// The positive control of the checkpoint's epochs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_without_epochs_is_moved_by_a_relay_that_was_replaced() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let (_, moves) = replaced(&corner, &store, true).await;
    assert!(!moves.is_sorted(), "{moves:?}");
}

/// Changes a setting of the topic of events.
async fn set_largest_message(corner: &Corner, bytes: &str) {
    let kafka = corner.kafka();
    let admin: AdminClient<DefaultClientContext> = kafka.brokers.client_config().create().unwrap();
    let topic = kafka.topics.events();
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", bytes);
    for altered in admin.alter_configs(&[change], &AdminOptions::new()).await.unwrap() {
        altered.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_fails_is_built_anew_from_the_checkpoint() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let relay = corner.role("relay").await.until_ready().await;
    let mut topic = Topic::of(&corner);
    append(&store, 100, "").await;
    topic.until_complete(&store).await;
    until_published(&store).await;

    // From some moment on Kafka refuses what is larger, whatever the producer tries.
    set_largest_message(&corner, "5000").await;
    let (_, epoch) = checkpoint(&store).await;
    // What is random cannot be compressed.
    let noise: String = (0..400).map(|_| Uuid::new_v4().to_string()).collect();
    within(SETTLING, "the relay begins anew, twice", async || {
        append(&store, 1, &noise).await;
        (checkpoint(&store).await.1 >= epoch + 2).then_some(())
    })
    .await;
    append(&store, 50, "").await;
    let (noted, _) = checkpoint(&store).await;
    let newest = head(&store.read).await.unwrap();
    assert!(noted < newest.0 - 50, "{noted} of {newest} is behind what was refused");

    set_largest_message(&corner, "1000000").await;
    topic.until_complete(&store).await;
    until_published(&store).await;
    assert!(relay.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_again_on_request_begins_where_it_was_asked_and_changes_nothing() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let relay = corner.role("relay").await.until_ready().await;
    let mut topic = Topic::of(&corner);
    append(&store, 1_500, "").await;
    topic.until_complete(&store).await;
    until_published(&store).await;
    let (before, seen) = (checkpoint(&store).await, topic.seen.clone());

    let from = seen[400];
    let asked = corner.command(["relay", "--from", &from.0.to_string()]).output().await.unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    topic.read_until("they come again", |topic| topic.seen.len() >= seen.len() + 1_100).await;
    assert_eq!(topic.seen[seen.len()..], seen[400..]);
    assert_eq!((topic.applied.len(), checkpoint(&store).await), (1_500, before));

    // The relay was not disturbed.
    append(&store, 10, "").await;
    topic.until_complete(&store).await;
    assert_eq!(topic.seen.len(), 1_500 + 1_100 + 10);
    assert!(relay.stop().await.success());
}
