//! An engine that is away for a while: everybody waits for it, nothing is set aside, nothing is missing.

use std::time::Duration;

use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_harness::{App, Corner, Feed, Target, User, within};
use pulsetrail_infra::engines::Engine;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::engines::OwnEngine;
use super::{SETTLING, dead_letters, prepare, short_or_long};
use crate::recording::{Results, first_slot_ms, is_sent, quiet_monitor, recorded_slots, result_of};

/// The application with somebody who watches a monitor, on engines of which one can go away.
struct Scene {
    corner: Corner,
    app: App,
    user: User,
    target: Target,
    monitor: String,
    feed: Feed,
    /// The positions that the feed has sent.
    seen: Vec<i64>,
}

impl Scene {
    async fn new(engine: Engine) -> (Self, OwnEngine) {
        let binary = env!("CARGO_BIN_EXE_pulsetrail");
        let shared = pulsetrail_harness::engines(binary.as_ref()).await.urls();
        let own = OwnEngine::start(engine, shared).await;
        let corner = Corner::new(own.urls(), binary).await;
        let app = corner.start().await;
        let user = User::sign_up(&app.url).await;
        let target = Target::start().await;
        let monitor = user.watch(&target.url()).await;
        let mut feed = user.live().await;
        feed.subscribe(json!("all"), Some(0)).await;
        user.until_status(&monitor, "up").await;
        (Self { corner, app, user, target, monitor, feed, seen: Vec::new() }, own)
    }

    /// Has the engine away until those who need it have asked for it again and again; what happens
    /// `meanwhile` begins when it is gone.
    async fn without<T>(&self, own: &mut OwnEngine, meanwhile: impl Future<Output = T>) -> T {
        own.go_away().await;
        let (gone, before) = (Instant::now(), self.warnings());
        let at_least = Duration::from_secs(short_or_long(0, 30));
        let asked_for = within(SETTLING, "three attempts are told of", async || {
            let enough = self.warnings() >= before + 3 && gone.elapsed() >= at_least;
            enough.then_some(())
        });
        tokio::join!(meanwhile, asked_for).0
    }

    fn warnings(&self) -> usize {
        let log = std::fs::read_to_string(self.corner.data_dir.path().join("test.log")).unwrap();
        log.lines().filter(|line| line.contains(" WARN ")).count()
    }

    /// Waits until the feed has sent an event that `is` likes.
    async fn until_event(&mut self, is: impl Fn(&Value) -> bool) {
        let seen = &mut self.seen;
        let feed = &mut self.feed;
        let found = tokio::time::timeout(SETTLING, async {
            loop {
                let Some(message) = feed.next_within(SETTLING).await else { continue };
                if message["type"] == "event" {
                    seen.push(message["position"].as_i64().unwrap());
                    if is(&message) {
                        return;
                    }
                }
            }
        });
        assert!(found.await.is_ok(), "the feed stays silent");
    }

    /// Asserts that everything has caught up: a transition goes all the way, the feed has sent the whole
    /// log, analytics have every check, lists have the status, and nothing was set aside.
    async fn has_caught_up(mut self) {
        within(SETTLING, "the monitor is up", async || {
            let path = format!("/api/v1/monitors/{}", self.monitor);
            (self.user.get(&path).await.body["status"] == "up").then_some(())
        })
        .await;
        self.target.die();
        self.until_event(|message| message["event"]["type"] == "pulsetrail.health.WentDown").await;
        self.user.until_status(&self.monitor, "down").await;

        let store = self.corner.store().await;
        let last = *self.seen.last().unwrap();
        let stored: Vec<i64> = sqlx::query_scalar(
            "select position from events
             where aggregate_type in ('monitor', 'health') and position <= $1 order by position",
        )
        .bind(last)
        .fetch_all(&store.read)
        .await
        .unwrap();
        assert_eq!(self.seen, stored, "the feed and the log");
        let path = format!("/api/v1/monitors/{}/checks?limit=1000", self.monitor);
        within(SETTLING, "every check is in ClickHouse, once", async || {
            let events = self.user.events(&self.monitor).await;
            let recorded = events.iter().filter(|event| event["event_type"] == "CheckCompleted");
            let recorded: Vec<&Value> =
                recorded.map(|event| &event["payload"]["check_id"]).collect();
            let answer = self.user.get(&path).await;
            let checks = answer.body["items"].as_array()?;
            let there = |id: &&Value| checks.iter().filter(|one| one["check_id"] == **id).count();
            recorded.iter().all(|id| there(id) == 1).then_some(())
        })
        .await;
        assert_eq!(dead_letters(&store).await, 0);
        self.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_results_wait_and_everything_catches_up() {
    let (scene, mut postgres) = Scene::new(Engine::Postgres).await;
    let quiet = quiet_monitor(&scene.user, &scene.target).await;
    let organization: OrganizationId = scene.user.organization.parse().unwrap();
    let results = Results::of(&scene.corner);
    let send = async |slot: i64| {
        results.send_result(&result_of(quiet, organization, first_slot_ms() + slot * 1_000)).await;
    };
    tokio::join!(scene.without(&mut postgres, async {}), async {
        // One after the other, so that some come while it goes away and some while it is gone.
        for slot in 0..40 {
            send(slot).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    postgres.come_back().await;
    within(SETTLING, "the results that waited are recorded", async || {
        let mut slots = recorded_slots(&scene.user, quiet).await;
        slots.retain(|slot| is_sent(slot));
        (slots.len() == 40).then_some(())
    })
    .await;
    scene.has_caught_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_starts_while_postgres_is_away_waits_for_it() {
    let binary = env!("CARGO_BIN_EXE_pulsetrail");
    let shared = pulsetrail_harness::engines(binary.as_ref()).await.urls();
    let mut postgres = OwnEngine::start(Engine::Postgres, shared).await;
    let corner = Corner::new(postgres.urls(), binary).await;
    prepare(&corner).await;
    postgres.go_away().await;
    let role = corner.role("recorder").await;
    within(SETTLING, "it has asked in vain", async || {
        role.log().contains("Postgres is away").then_some(())
    })
    .await;
    postgres.come_back().await;
    let role = role.until_ready().await;
    assert!(role.stop().await.success());

    // What time does not mend is not waited for.
    let mut command = corner.command(["recorder"]);
    let nowhere = corner.urls.database_url.replace(&corner.name, "nowhere");
    let ended = command.env("PULSETRAIL_DATABASE_URL", nowhere).output().await.unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("PULSETRAIL_DATABASE_URL"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_kafka_is_away_commands_are_taken_and_everything_catches_up() {
    let (scene, mut kafka) = Scene::new(Engine::Kafka).await;
    let url = scene.target.url();
    let body = json!({ "url": url, "interval_seconds": 1, "timeout_ms": 900 });
    let registered = scene.without(&mut kafka, scene.user.post("/api/v1/monitors", &body)).await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.body);
    kafka.come_back().await;
    let monitor: MonitorId = registered.body["id"].as_str().unwrap().parse().unwrap();
    within(SETTLING, "it is checked now", async || {
        let answer = scene.user.get(&format!("/api/v1/monitors/{monitor}")).await;
        (answer.body["status"] == "up").then_some(())
    })
    .await;
    scene.has_caught_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_stops_when_it_is_told_to_while_kafka_is_away() {
    let binary = env!("CARGO_BIN_EXE_pulsetrail");
    let shared = pulsetrail_harness::engines(binary.as_ref()).await.urls();
    let mut kafka = OwnEngine::start(Engine::Kafka, shared).await;
    let corner = Corner::new(kafka.urls(), binary).await;
    prepare(&corner).await;
    let names = ["server", "scheduler", "relay", "recorder", "prober", "projector"];
    let mut roles = Vec::new();
    for name in names {
        roles.push(corner.role(name).await.until_ready().await);
    }
    kafka.go_away().await;
    // All but those that only send ask for messages, and say so once the connection is gone.
    within(SETTLING, "it is noticed", async || {
        let noticed = roles.iter().filter(|role| role.log().contains(" WARN ")).count();
        (noticed >= 3).then_some(())
    })
    .await;
    for (name, role) in names.into_iter().zip(roles) {
        assert!(role.stop().await.success(), "{name}");
    }
}
