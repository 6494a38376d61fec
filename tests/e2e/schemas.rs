//! Events in another version than the current one: an old one is seen in the current one by every
//! reader, an unknown one is set aside with its position.

use std::time::Duration;

use pulsetrail_commands::recorder;
use pulsetrail_domain::catalogue::current_version;
use pulsetrail_domain::monitor::{Monitor, MonitorCommand, MonitorRequest};
use pulsetrail_domain::{MonitorId, OrganizationId, Position, Region};
use pulsetrail_harness::{Corner, Target, User, eventually};
use pulsetrail_infra::dead_letters::{self, LetterStatus, Scope};
use pulsetrail_infra::follower::{Follower, Haste};
use pulsetrail_infra::kafka::{attribute, event_from_message};
use pulsetrail_infra::relay;
use pulsetrail_infra::store::{
    Event, MonitorCommands, Store, Upcaster, add_upcasters, read_after, read_aggregate,
    read_aggregates, read_monitors_after, read_organization_between, read_page_of_type,
};
use pulsetrail_infra::supervised::Supervisor;
use pulsetrail_probers::scheduler;
use pulsetrail_projections::views;
use rdkafka::consumer::Consumer as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::corner;
use crate::recording::{Results, first_slot_ms, quiet_monitor, result_of};

/// A version that never was: 0.9 of `MonitorReconfigured` had the configuration as `settings`. The
/// program itself does not know it; this process does, as a later program would.
fn know_the_old_version() {
    add_upcasters(vec![Upcaster {
        aggregate: Monitor::AGGREGATE,
        event: "MonitorReconfigured",
        from: "0.9",
        to: "1.0",
        convert: Some(|mut own| json!({ "config": own["settings"].take() })),
    }]);
}

fn config(name: &str) -> Value {
    json!({
        "name": name, "target": {"type": "http", "url": "http://127.0.0.1:9/"},
        "interval_seconds": 86_400, "timeout_ms": 1_000, "retries": {}, "confirmations": 1,
        "regions": ["default"], "tags": {},
    })
}

async fn execute(
    store: &Store,
    organization: OrganizationId,
    monitor: MonitorId,
    command: MonitorCommand,
) -> Monitor {
    let request = MonitorRequest { expected_version: None, command };
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    commands.execute(organization, monitor, request, Default::default()).await.unwrap().monitor
}

async fn register(store: &Store, organization: OrganizationId, monitor: MonitorId) {
    let command = MonitorCommand::Register {
        monitor_id: monitor,
        organization_id: organization,
        config: Box::new(serde_json::from_value(config("new")).unwrap()),
    };
    execute(store, organization, monitor, command).await;
}

/// Appends a reconfiguration in the version given, as `postgres-es` would have.
pub(crate) async fn append(
    store: &Store,
    organization: OrganizationId,
    monitor: MonitorId,
    (sequence, version): (i64, &str),
) -> Position {
    let payload = json!({ "MonitorReconfigured": { "settings": config("old") } });
    let position: i64 = sqlx::query_scalar(
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version,
                             payload, metadata)
         values ('monitor', $1, $2, 'MonitorReconfigured', $3, $4::text::json, $5::text::json)
         returning position",
    )
    .bind(monitor.to_string())
    .bind(sequence)
    .bind(version)
    .bind(payload.to_string())
    .bind(json!({ "organization_id": organization }).to_string())
    .fetch_one(&store.write)
    .await
    .unwrap();
    Position(position)
}

fn current() -> &'static str {
    current_version(Monitor::AGGREGATE, "MonitorReconfigured").unwrap()
}

fn assert_current(what: &str, event: &Event) {
    assert_eq!(event.event_version, current(), "{what}");
    let payload: Value = serde_json::from_str(event.payload.get()).unwrap();
    assert_eq!(payload["config"]["name"], "old", "{what}");
    event.monitor_event().unwrap();
}

/// The old event by way of every function that reads the log.
async fn reads(
    store: &Store,
    organization: OrganizationId,
    monitor: MonitorId,
    position: Position,
) -> Vec<(&'static str, Event)> {
    let (pool, id) = (&store.read, monitor.to_string());
    let before = Position(position.0 - 1);
    let mut found = Vec::new();
    let mut take = |what, events: Vec<Event>| {
        let event = events.into_iter().find(|event| event.position == position);
        found.push((what, event.unwrap_or_else(|| panic!("{what} does not find it"))));
    };
    take("read_after", read_after(pool, before, 1).await.unwrap());
    let one = read_aggregate(pool, Monitor::AGGREGATE, &id, 1, 10).await.unwrap();
    take("read_aggregate", one.into_iter().map(|stored| stored.event).collect());
    let mut many = Vec::new();
    let after = [(id, 0)];
    read_aggregates(pool, Monitor::AGGREGATE, &after, |event| many.push(event)).await.unwrap();
    take("read_aggregates", many);
    let of_monitors = read_monitors_after(pool, &[monitor], before, 1).await.unwrap();
    take("read_monitors_after", of_monitors.into_iter().map(|stored| stored.event).collect());
    let between = read_organization_between(pool, organization, None, (before, position), 10).await;
    take("read_organization_between", between.unwrap());
    let page = read_page_of_type(pool, Monitor::AGGREGATE, ("", 0), 10).await.unwrap();
    take("read_page_of_type", page);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_an_old_version_is_seen_in_the_current_one_by_every_reader() {
    know_the_old_version();
    let corner = corner().await;
    let (store, kafka) = (corner.store().await, corner.kafka());
    store.migrate().await.unwrap();
    kafka.ensure_topics(&[Region::default()]).await.unwrap();
    let organization = OrganizationId(Uuid::now_v7());
    let monitor = MonitorId(Uuid::now_v7());
    register(&store, organization, monitor).await;
    let position = append(&store, organization, monitor, (2, "0.9")).await;
    for (what, event) in reads(&store, organization, monitor, position).await {
        assert_current(what, &event);
    }

    // The load that the pause is decided from.
    let paused = execute(&store, organization, monitor, MonitorCommand::Pause).await;
    assert_eq!((paused.config.unwrap().name.as_str(), paused.version), ("old", 3));
    execute(&store, organization, monitor, MonitorCommand::Resume).await;

    let shutdown = CancellationToken::new();
    let relaying = relay(&store, &kafka, &shutdown);
    let in_kafka = async {
        let consumer = kafka.group_consumer("test").unwrap();
        consumer.subscribe(&[&kafka.topics.events()]).unwrap();
        loop {
            let message = consumer.recv().await.unwrap();
            if attribute(&message, "ce_id").unwrap() == position.to_string() {
                assert_eq!(attribute(&message, "ce_eventversion").unwrap(), current());
                assert_current("the relay", &event_from_message(&message).unwrap().0);
                break;
            }
        }
        let mut follower =
            Follower::new(store.read.clone(), kafka.clone(), Position::START, Haste::Prompt);
        let followed = follower.next_batch(10).await.unwrap();
        assert_current("the follower", &followed[1]);
        Box::pin(the_roles_know_it(&corner, &store, organization, monitor, &shutdown)).await;
        shutdown.cancel();
    };
    tokio::join!(relaying, in_kafka);
}

async fn relay(
    store: &Store,
    kafka: &pulsetrail_infra::kafka::Kafka,
    shutdown: &CancellationToken,
) {
    relay::run(store, kafka, shutdown).await;
}

/// The views show it, the scheduler makes a job of it, and the recorder records a result by it.
async fn the_roles_know_it(
    corner: &Corner,
    store: &Store,
    organization: OrganizationId,
    monitor: MonitorId,
    shutdown: &CancellationToken,
) {
    let kafka = corner.kafka();
    let regions = [Region::default()];
    let results = Results::of(corner);
    results.send_result(&result_of(monitor, organization, first_slot_ms())).await;
    let seen = async {
        eventually("the views show the old event's name", async || {
            let name: Option<String> = sqlx::query_scalar(
                "select name from monitor_view where monitor_id = $1 and version = 4",
            )
            .bind(monitor.0)
            .fetch_optional(&store.read)
            .await
            .unwrap();
            (name.as_deref() == Some("old")).then_some(())
        })
        .await;
        let consumer = kafka.group_consumer("test-jobs").unwrap();
        consumer.subscribe(&[&kafka.topics.jobs(&Region::default())]).unwrap();
        consumer.recv().await.unwrap();
        eventually("the result is recorded", async || {
            let page = read_page_of_type(&store.read, "health", ("", 0), 10).await.unwrap();
            (!page.is_empty()).then_some(())
        })
        .await;
        let letters = dead_letters::list(&store.read, Scope::Everything, None, 10).await.unwrap();
        assert!(letters.is_empty(), "{letters:?}");
    };
    tokio::select! {
        () = views::run(store, &kafka, shutdown.clone(), || ()) => {}
        _ = scheduler::run(store, &kafka, &regions, shutdown.clone(), || ()) => {}
        _ = recorder::run(store, &kafka, shutdown.clone(), || ()) => {}
        () = seen => return,
    }
    panic!("a role ended by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_an_unknown_version_is_set_aside_and_read_by_a_later_program() {
    know_the_old_version();
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let store = corner.store().await;
    let position = append(&store, organization, monitor, (2, "0.9")).await;

    // The program that runs does not know the version.
    let letters = eventually("each consumer of the log has set it aside", async || {
        let listed = user.get("/api/v1/dead-letters").await;
        let letters = listed.body["items"].as_array().unwrap().clone();
        (letters.len() == 3).then_some(letters)
    })
    .await;
    let mut consumers: Vec<&str> =
        letters.iter().map(|letter| letter["consumer"].as_str().unwrap()).collect();
    consumers.sort_unstable();
    assert_eq!(consumers, ["projector", "scheduler", "views"]);
    for letter in &letters {
        assert_eq!(letter["reason"], "unknown_version", "{letter}");
        assert_eq!(letter["origin"], json!({ "position": position }), "{letter}");
        assert!(letter["payload"].as_str().unwrap().contains("\"old\""), "{letter}");
    }
    let refused = user.post(&format!("/api/v1/monitors/{monitor}/pause"), &json!({})).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", refused.body);
    let results = Results::of(&corner);
    results.send_result(&result_of(monitor, organization, first_slot_ms())).await;
    eventually("the recorder has set the result aside", async || {
        let listed = user.get("/api/v1/dead-letters?limit=1").await;
        (listed.body["items"][0]["reason"] == "unreadable_history").then_some(())
    })
    .await;
    // Other monitors go on.
    quiet_monitor(&user, &target).await;

    // Read again by the same program it fails again.
    let of_views = letters.iter().find(|letter| letter["consumer"] == "views").unwrap();
    let path = format!("/api/v1/dead-letters/{}", of_views["id"].as_str().unwrap());
    let retried = user.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.body);
    eventually("it has failed again", async || {
        (user.get(&path).await.body["failures"] == 2).then_some(())
    })
    .await;
    assert!(app.stop().await.success());

    let kafka = corner.kafka();
    let id = of_views["id"].as_str().unwrap().parse().unwrap();
    let producer = kafka.producer().unwrap();
    dead_letters::retry(&store, &kafka, &producer, Scope::Everything, id, "test").await.unwrap();
    let shutdown = CancellationToken::new();
    let resolved = eventually("the later program has read it", async || {
        let letter = dead_letters::show(&store.read, Scope::Everything, id).await.unwrap().unwrap();
        (letter.status == LetterStatus::Resolved).then_some(())
    });
    let timeout = Duration::from_secs(30);
    let ended = tokio::time::timeout(timeout, async {
        tokio::select! {
            () = views::run(&store, &kafka, shutdown.clone(), || ()) => false,
            () = resolved => true,
        }
    });
    assert!(ended.await.unwrap());
    let name: String = sqlx::query_scalar("select name from monitor_view where monitor_id = $1")
        .bind(monitor.0)
        .fetch_one(&store.read)
        .await
        .unwrap();
    assert_eq!(name, "old");
}
