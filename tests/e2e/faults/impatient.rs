//! Nobody is to be like that while an engine is away: what the log and the topic look like after a
//! recorder that does not wait for PostgreSQL, and a relay that takes for published what Kafka did not
//! take, beside the real ones under the same conditions.

use std::time::Duration;

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_harness::{Corner, Dice, RoleProcess, within};
use pulsetrail_infra::dead_letters::{Letter, Reason};
use pulsetrail_infra::engines::Engine;
use pulsetrail_infra::kafka::payload_of;
use pulsetrail_infra::store::Store;
use rdkafka::consumer::{CommitMode, Consumer as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::engines::OwnEngine;
use super::hasty::try_to_record;
use super::judge::{Fault, faults};
use super::load::{Load, until_taken_in};
use super::relay::append;
use super::topic::{Topic, checkpoint};
use super::{SETTLING, dead_letters, prepare};

/// How long somebody waits for PostgreSQL who does not wait.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a recorder does with a result that PostgreSQL does not take now.
#[derive(Clone, Copy)]
enum Impatience {
    Loses,
    SetsAside,
}

/// Records until it is told to stop; a result that cannot be stored at once is passed over.
async fn record_impatiently(
    corner: &Corner,
    store: Store,
    impatience: Impatience,
    done: &CancellationToken,
) {
    let kafka = corner.kafka();
    let consumer = kafka.group_consumer(RECORDER).unwrap();
    consumer.subscribe(&[&kafka.topics.results()]).unwrap();
    loop {
        let received = tokio::select! {
            () = done.cancelled() => return,
            received = consumer.recv() => received,
        };
        let Ok(message) = received else { continue };
        let recording = try_to_record(&store, payload_of(&message).unwrap(), false);
        let stored = timeout(PATIENCE, recording).await.is_ok_and(|stored| stored.is_ok());
        if !stored && matches!(impatience, Impatience::SetsAside) {
            let (origin, reason) = (message.detach(), Reason::RefusedByStore);
            let letter = Letter::of_message(RECORDER, &origin, None, reason, "it was in vain");
            within(SETTLING, "the letter is kept", async || {
                letter.save(&mut *store.write.acquire().await.ok()?).await.ok()
            })
            .await;
        }
        consumer.commit_message(&message, CommitMode::Async).unwrap();
    }
}

/// What is wrong with a log after results came while PostgreSQL was away.
async fn faults_of(corner: &Corner, load: &Load, slots: i64) -> (Vec<Fault>, i64) {
    until_taken_in(corner, RECORDER).await;
    let store = corner.store().await;
    (faults(&store, &load.checks(slots)).await, dead_letters(&store).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_that_does_not_wait_for_postgres_is_found_out() {
    const SLOTS: i64 = 5;
    let binary = env!("CARGO_BIN_EXE_pulsetrail");
    let shared = pulsetrail_harness::engines(binary.as_ref()).await.urls();
    let mut postgres = OwnEngine::start(Engine::Postgres, shared).await;
    let mut corners = Vec::new();
    for _ in 0..3 {
        let corner = Corner::new(postgres.urls(), binary).await;
        prepare(&corner).await;
        let load = Load::new(&corner, 3).await;
        corners.push((corner, load));
    }
    let [(patient, sent), (losing, lost), (hasty, set_aside)] = &corners[..] else {
        unreachable!()
    };
    let recorder = patient.role("recorder").await.until_ready().await;
    let done = CancellationToken::new();
    let stores = (losing.store().await, hasty.store().await);
    let scene = async {
        postgres.go_away().await;
        let pace = Duration::from_millis(1);
        for load in [sent, lost, set_aside] {
            load.send(SLOTS, pace, &mut Dice(1)).await;
        }
        until_taken_in(losing, RECORDER).await;
        within(SETTLING, "the real one has tried in vain", async || {
            recorder.log().contains("could not be stored yet").then_some(())
        })
        .await;
        postgres.come_back().await;
        let verdicts = (
            faults_of(patient, sent, SLOTS).await,
            faults_of(losing, lost, SLOTS).await,
            faults_of(hasty, set_aside, SLOTS).await,
        );
        done.cancel();
        verdicts
    };
    let (verdicts, (), ()) = tokio::join!(
        scene,
        record_impatiently(losing, stores.0, Impatience::Loses, &done),
        record_impatiently(hasty, stores.1, Impatience::SetsAside, &done),
    );
    let (real, (lost, _), (_, set_aside)) = verdicts;
    assert_eq!(real, (Vec::new(), 0));
    assert!(lost.iter().any(|fault| matches!(fault, Fault::Lost(_))), "{lost:?}");
    assert!(set_aside > 0, "nothing was set aside");
}

/// A relay that begins anew takes everything for published that is stored.
const FORGETFUL_CLAIM: &str = "create function forget() returns trigger language plpgsql as $$
     begin
         new.position := (select max(position) from events);
         return new;
     end $$;
     create trigger forget before update on checkpoints
         for each row when (new.consumer = 'relay' and new.epoch > old.epoch)
         execute function forget();";

/// Stops the relay while Kafka is away, and has another begin.
async fn replace_relay(corner: &Corner, store: &Store, relay: RoleProcess) -> RoleProcess {
    let (_, epoch) = checkpoint(store).await;
    relay.kill().await;
    let another = corner.role("relay").await;
    within(SETTLING, "another relay has begun", async || {
        (checkpoint(store).await.1 > epoch).then_some(())
    })
    .await;
    another
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_takes_for_published_what_kafka_did_not_take_is_found_out() {
    let binary = env!("CARGO_BIN_EXE_pulsetrail");
    let shared = pulsetrail_harness::engines(binary.as_ref()).await.urls();
    let mut kafka = OwnEngine::start(Engine::Kafka, shared).await;
    let mut scenes = Vec::new();
    for forgetful in [false, true] {
        let corner = Corner::new(kafka.urls(), binary).await;
        prepare(&corner).await;
        let store = corner.store().await;
        if forgetful {
            sqlx::raw_sql(FORGETFUL_CLAIM).execute(&store.read).await.unwrap();
        }
        let relay = corner.role("relay").await.until_ready().await;
        let mut topic = Topic::of(&corner);
        append(&store, 50, "").await;
        topic.until_complete(&store).await;
        scenes.push((corner, store, topic, relay));
    }
    kafka.go_away().await;
    let mut relays = Vec::new();
    let mut topics = Vec::new();
    for (corner, store, topic, relay) in scenes {
        append(&store, 100, "").await;
        relays.push(replace_relay(&corner, &store, relay).await);
        topics.push((corner, store, topic));
    }
    kafka.come_back().await;
    let mut verdicts = Vec::new();
    for (_corner, store, topic) in &mut topics {
        append(store, 10, "").await;
        let stored = topic.until_newest(store).await;
        verdicts.push((topic.leaps.len(), topic.applied == stored));
    }
    assert_eq!(verdicts, [(0, true), (1, false)]);
}
