//! Subscribers who stop reading, among many who go on.

use chrono::Utc;
use futures_util::future::join_all;
use pulsetrail_domain::check::{CheckResult, Failure, FailureCause, Outcome, TimingsUs};
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::{CheckId, MonitorId, Region};
use pulsetrail_harness::{Feed, Server, User};
use pulsetrail_infra::store::{Append, NewEvent, Store, append_batch};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::corner;

const STALLED: usize = 100;
const READING: usize = 900;
/// Events for those who stall, and for those who read: one after so many of the others.
const FLOOD: usize = 6_000;
const CALM_AFTER: usize = 100;
/// How much text an event brings: so much that what one subscriber does not read fits into no socket.
const TEXT_BYTES: usize = 2_000;
/// What a server may keep at most: 48 MiB of the log, and 1 MiB for each who stalls.
const MOST_BYTES: usize = (48 + STALLED) << 20;

/// The resident memory of a server, in bytes.
fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// A failed check of a monitor.
fn check(monitor: MonitorId) -> NewEvent {
    let now = Utc::now();
    let result = CheckResult {
        check_id: CheckId(Uuid::now_v7()),
        region: Region::default(),
        scheduled_at: now,
        started_at: now,
        outcome: Outcome::Down,
        http_status: Some(503),
        failure: Some(Failure {
            cause: FailureCause::HttpStatusUnexpected,
            detail: "x".repeat(TEXT_BYTES),
        }),
        timings_us: TimingsUs::default(),
        attempts: 1,
        config_version: 1,
        valid_for_ms: 1_000,
        findings: None,
    };
    NewEvent::health(monitor, &HealthEvent::CheckCompleted(Box::new(result))).unwrap()
}

/// Stores so many checks of each of the given monitors in one transaction.
async fn store_checks(store: &Store, user: &User, checks: [(&String, usize); 2]) {
    let batch = checks.map(|(monitor, count)| {
        let id: MonitorId = monitor.parse().unwrap();
        Append {
            aggregate_type: "health",
            aggregate_id: monitor.clone(),
            organization_id: user.organization.parse().unwrap(),
            expected: None,
            guard: None,
            events: (0..count).map(|_| check(id)).collect(),
        }
    });
    append_batch(&store.write, &batch).await.unwrap();
}

/// Opens connections that are subscribed to one monitor.
async fn subscribed(user: &User, monitor: &str, count: usize) -> Vec<Feed> {
    let mut feeds = Vec::new();
    while feeds.len() < count {
        let opened = join_all((0..50.min(count - feeds.len())).map(async |_| {
            let mut feed = user.live().await;
            feed.subscribe(json!([monitor]), None).await;
            feed
        }));
        feeds.extend(opened.await);
    }
    feeds
}

/// The positions of the next events, and how often the reader was told of being late.
async fn read(feed: &mut Feed, count: usize) -> (Vec<i64>, usize) {
    let (mut positions, mut lagged) = (Vec::new(), 0);
    while positions.len() < count {
        let message: Value = feed.next().await;
        match message["type"].as_str().unwrap() {
            "event" => positions.push(message["position"].as_i64().unwrap()),
            "lagged" => lagged += 1,
            "replayed" => {}
            other => panic!("{other}: {message}"),
        }
    }
    (positions, lagged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_of_a_thousand_who_stop_reading_cost_little_and_hold_up_nobody() {
    let corner = corner().await;
    let app = corner.start().await;
    let server = corner.server().await;
    let user = User::sign_up(&app.url).await.at(&server.url);
    let store = corner.store().await;
    let mut monitors = Vec::new();
    for _ in 0..2 {
        // Nothing checks one that waits for a day.
        let target = json!({"type": "heartbeat"});
        let body = json!({"name": "quiet", "target": target, "interval_seconds": 86_400});
        let answer = user.post("/api/v1/monitors", &body).await;
        let id = answer.body["id"].as_str().unwrap().to_owned();
        monitors.push(id);
    }
    let [flooded, calm] = [&monitors[0], &monitors[1]];
    let mut stalled = subscribed(&user, flooded, STALLED).await;
    let mut reading = subscribed(&user, calm, READING).await;
    let before = resident(&server);

    let flooding = async {
        for _ in 0..FLOOD / CALM_AFTER {
            store_checks(&store, &user, [(flooded, CALM_AFTER), (calm, 1)]).await;
        }
    };
    let everybody = join_all(reading.iter_mut().map(|feed| read(feed, FLOOD / CALM_AFTER)));
    let ((), got) = tokio::join!(flooding, everybody);
    let stored = async |monitor: &str| {
        let events = user.events(monitor).await;
        let checks = events.iter().filter(|event| event["event_type"] == "CheckCompleted");
        checks.map(|event| event["position"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let expected = (stored(calm).await, 0);
    assert!(got.iter().all(|got| *got == expected), "who reads is neither late nor misses any");
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < MOST_BYTES, "{grown} of {MOST_BYTES}");

    // Who reads again is told of being late, and misses nothing.
    let expected = stored(flooded).await;
    for feed in &mut stalled[..3] {
        let (got, lagged) = read(feed, FLOOD).await;
        assert!(lagged > 0);
        assert!(got == expected, "{} of {}", got.len(), expected.len());
    }
    app.stop().await;
}
