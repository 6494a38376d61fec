//! The path of one check, measured from outside: `registered_to_first_event_ms`, `commit_to_socket_ms`
//! and the memory that it takes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use pulsetrail_domain::check::{CheckResult, Outcome, TimingsUs};
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{MonitorId, OrganizationId, Region, timestamp_from_millis};
use pulsetrail_harness::{Corner, Target, User, engines};
use pulsetrail_infra::kafka::{Kafka, message_headers};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use rdkafka::producer::FutureRecord;
use serde_json::json;

use crate::samples::Samples;
use crate::table::Table;
use crate::{BINARY, memory, round_trip};

const MONITORS: usize = 100;
const BREAKS: usize = 20;
const EVENTS_PER_SECOND: u32 = 500;
const EVENTS: u32 = 5_000;

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let app = corner.start().await;
    let before = memory::by_process(app.pid());
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let kafka = corner.kafka();
    let mut bare = round_trip::measure(&kafka, EVENTS_PER_SECOND, 2_500).await;

    let (mut first_events, monitors) = registrations(&user, &target).await;
    if wanted("registered_to_first_event_ms") {
        let reference = "three bare Kafka round trips: job, result, event";
        let name = "registered_to_first_event_ms";
        first_events.report(table, name, reference, &mut bare, 3.0);
    }
    if wanted("broken_to_down_ms") {
        let interval_ms = 1_000.0;
        let mut ceiling = Samples::default();
        ceiling.add(2.0 * interval_ms);
        let reference = "two intervals of 1 s, the most that is allowed";
        let name = "broken_to_down_ms";
        breaks(&user).await.report(table, name, reference, &mut ceiling, 1.0);
    }
    if wanted("commit_to_socket_ms") || wanted("rss_mb") {
        let mut latencies = commits(&user, &kafka, &monitors).await;
        let reference = "one bare Kafka round trip at the same rate";
        if wanted("commit_to_socket_ms") {
            latencies.report(table, "commit_to_socket_ms", reference, &mut bare, 1.0);
        }
    }
    if wanted("rss_mb") {
        memory::report(table, &before, &memory::by_process(app.pid()));
    }
    app.stop().await;
}

/// Registers monitors one after the other, and measures from the request to the first result on a
/// WebSocket.
async fn registrations(user: &User, target: &Target) -> (Samples, Vec<MonitorId>) {
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let body = json!({ "url": target.url(), "interval_seconds": 86_400 });
    let mut samples = Samples::default();
    let mut monitors = Vec::new();
    for number in 0..=MONITORS {
        let begun = Instant::now();
        let answer = user.post("/api/v1/monitors", &body).await;
        let message = feed.until_event("CheckCompleted").await;
        assert_eq!(message["monitor_id"], answer.body["id"], "{}", answer.body);
        // The first one opens connections.
        if number > 0 {
            samples.add(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        monitors.push(answer.body["id"].as_str().expect("an id").parse().expect("an id"));
    }
    (samples, monitors)
}

/// Breaks a target that is checked every second, again and again, and measures until `WentDown` is on a
/// WebSocket.
async fn breaks(user: &User) -> Samples {
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    let mut feed = user.live().await;
    feed.subscribe(json!([monitor]), None).await;
    let mut samples = Samples::default();
    for _ in 0..BREAKS {
        feed.until_event("CheckCompleted").await;
        // Not always at the same moment of the interval.
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..1_000))).await;
        let begun = Instant::now();
        target.die();
        feed.until_event("WentDown").await;
        samples.add(begun.elapsed().as_secs_f64() * 1_000.0);
        target.come_back().await;
        feed.until_event("Recovered").await;
    }
    let archived = user.request(reqwest::Method::DELETE, &format!("/api/v1/monitors/{monitor}"));
    assert!(user.send(archived).await.status.is_success());
    samples
}

/// Sends results at a steady rate, and measures from each event's commit to its arrival at a
/// subscriber's socket.
async fn commits(user: &User, kafka: &Kafka, monitors: &[MonitorId]) -> Samples {
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let organization: OrganizationId = user.organization.parse().expect("an id");
    let sending = tokio::spawn({
        let (kafka, monitors) = (kafka.clone(), monitors.to_vec());
        async move { send_results(&kafka, &monitors, organization).await }
    });
    let mut samples = Samples::default();
    let mut sequences: HashMap<String, i64> = HashMap::new();
    for number in 0..EVENTS {
        let message = feed.until_event("CheckCompleted").await;
        let time = message["event"]["time"].as_str().expect("a time");
        let committed: DateTime<Utc> = time.parse().expect("a time");
        let took = (Utc::now() - committed).num_microseconds().expect("a short time");
        if number >= EVENTS / 10 {
            samples.add(took as f64 / 1_000.0);
        }
        let monitor = message["monitor_id"].as_str().expect("an id").to_owned();
        *sequences.entry(monitor).or_default() += 1;
    }
    sending.await.expect("the sender ended");
    assert_eq!(sequences.len(), monitors.len(), "every monitor had results");
    samples
}

async fn send_results(kafka: &Kafka, monitors: &[MonitorId], organization: OrganizationId) {
    let producer = kafka.producer().expect("a producer");
    let topic = kafka.topics.results();
    let region = Region::default();
    let mut clock = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    for (number, monitor) in (0..EVENTS).zip(monitors.iter().cycle()) {
        clock.tick().await;
        let now = timestamp_from_millis(Utc::now().timestamp_millis() + i64::from(number));
        let slot_ms = now.timestamp_millis();
        let message = ResultMessage {
            monitor_id: *monitor,
            organization_id: organization,
            result: CheckResult {
                check_id: scheduled_check_id(*monitor, &region, slot_ms),
                region: region.clone(),
                scheduled_at: now,
                started_at: now,
                outcome: Outcome::Up,
                http_status: Some(200),
                failure: None,
                timings_us: TimingsUs::default(),
                attempts: 1,
                config_version: 1,
                valid_for_ms: 200_000,
                findings: None,
            },
            refusal: None,
        };
        let payload = serde_json::to_vec(&message).expect("JSON");
        let (key, id) = (monitor.to_string(), message.result.check_id.to_string());
        let headers = message_headers(RESULT_TYPE, &id, now, organization);
        let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
        drop(producer.send_result(record).expect("room in the queue"));
    }
    rdkafka::producer::Producer::flush(&producer, Duration::from_secs(10)).expect("all is sent");
}
