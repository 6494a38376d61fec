//! Death at random: of recorders, relays, Kafka and PostgreSQL, under load.

use std::collections::HashSet;
use std::time::Duration;

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::CheckId;
use pulsetrail_harness::{Corner, Dice, RoleProcess, until_ready};
use pulsetrail_infra::engines::Engine;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::engines::{OwnEngine, until_kafka_answers, until_postgres_answers};
use super::hasty::record_alone;
use super::judge::{Fault, faults};
use super::load::{Load, until_taken_in};
use super::topic::{Topic, until_published};
use super::{dead_letters, prepare, short_or_long};
use crate::corner;

const SEED: u64 = 0x5EED_0004;

/// Two recorders and two relays, for one to go on where the other died.
struct Roles {
    roles: Vec<(&'static str, RoleProcess)>,
}

impl Roles {
    async fn start(corner: &Corner) -> Self {
        let mut roles = Vec::new();
        for role in ["recorder", "recorder", "relay", "relay"] {
            roles.push((role, corner.role(role).await));
        }
        Self { roles }
    }

    /// Waits until each is ready; who finds no PostgreSQL at its start waits for it.
    async fn until_ready(&self) {
        for (_, process) in &self.roles {
            until_ready(&process.url).await;
        }
    }

    /// Kills one of a kind, and starts another in its place.
    async fn kill(&mut self, role: &'static str, corner: &Corner) {
        let place = self.roles.iter().position(|(name, _)| *name == role).unwrap();
        let (_, process) = self.roles.remove(place);
        process.kill().await;
        self.roles.push((role, corner.role(role).await));
    }
}

/// Kills as often, the four in turn in an order of chance, and returns when it did so last.
async fn rage(
    deaths: usize,
    corner: &Corner,
    roles: &mut Roles,
    postgres: &OwnEngine,
    kafka: &OwnEngine,
) -> Instant {
    let mut dice = Dice(SEED);
    let mut victims = Vec::new();
    for _ in 0..deaths {
        if victims.is_empty() {
            victims = vec!["recorder", "relay", "kafka", "postgres"];
        }
        let pause = 500 + dice.roll(short_or_long(4_000, 8_000));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let place = usize::try_from(dice.roll(victims.len() as u64)).unwrap();
        match victims.swap_remove(place) {
            "kafka" => kafka.kill().await,
            "postgres" => postgres.kill().await,
            role => roles.kill(role, corner).await,
        }
    }
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_no_acknowledged_result_is_lost_or_counted_twice() {
    let shared =
        pulsetrail_harness::engines(env!("CARGO_BIN_EXE_pulsetrail").as_ref()).await.urls();
    let (postgres, kafka) = tokio::join!(
        OwnEngine::start(Engine::Postgres, shared),
        OwnEngine::start(Engine::Kafka, shared)
    );
    let mut urls = shared.clone();
    urls.database_url.clone_from(&postgres.urls().database_url);
    urls.kafka_brokers.clone_from(&kafka.urls().kafka_brokers);
    let corner = Corner::new(&urls, env!("CARGO_BIN_EXE_pulsetrail")).await;
    prepare(&corner).await;
    let load = Load::new(&corner, 24).await;
    let mut roles = Roles::start(&corner).await;
    roles.until_ready().await;

    let (slots, deaths) = short_or_long((60, 6), (3_500, 80));
    let (mut dice, pace) = (Dice(SEED), Duration::from_millis(100));
    let (sent, last_death) = tokio::join!(
        load.send(slots, pace, &mut dice),
        rage(deaths, &corner, &mut roles, &postgres, &kafka)
    );
    until_postgres_answers(&corner.urls).await;
    until_kafka_answers(&corner).await;
    roles.until_ready().await;
    let store = corner.store().await;
    let recovering = Instant::now();
    until_taken_in(&corner, RECORDER).await;
    until_published(&store).await;
    let (took, since) = (recovering.elapsed(), last_death.elapsed());
    println!("{} results; the lag was gone after {took:?}, {since:?} after a death", sent.len());
    let mut topic = Topic::of(&corner);
    topic.until_complete(&store).await;
    assert_eq!(faults(&store, &sent).await, []);
    assert_eq!(dead_letters(&store).await, 0);
}

/// What becomes of results that are recorded by one who dies again and again.
async fn die_again_and_again(hasty: bool) -> Vec<Fault> {
    let corner = corner().await;
    prepare(&corner).await;
    let load = Load::new(&corner, 12).await;
    let done = CancellationToken::new();
    let (sent, ()): (HashSet<CheckId>, ()) = tokio::join!(
        async {
            let sent = load.send(30, Duration::from_millis(50), &mut Dice(SEED)).await;
            until_taken_in(&corner, RECORDER).await;
            done.cancel();
            sent
        },
        async {
            let mut dice = Dice(SEED);
            while !done.is_cancelled() {
                tokio::select! {
                    () = done.cancelled() => {}
                    () = record_alone(&corner, hasty, 40 + dice.roll(80)) => {}
                }
            }
        },
    );
    faults(&corner.store().await, &sent).await
}

/// The positive control: a recorder that commits its offsets first loses what it was at when it died,
/// and the same one that commits them last does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorder_that_commits_offsets_before_it_stores_is_found_out() {
    let (hasty, careful) = tokio::join!(die_again_and_again(true), die_again_and_again(false));
    assert!(hasty.iter().any(|fault| matches!(fault, Fault::Lost(_))), "{hasty:?}");
    assert_eq!(careful, []);
}
