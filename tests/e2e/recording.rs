//! What becomes of results: duplicates, messages at fault, and their neighbours.

use std::sync::LazyLock;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::{CheckResult, Failure, FailureCause, Findings, Outcome, TimingsUs};
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{MonitorId, OrganizationId, Region, Timestamp, timestamp_from_millis};
use pulsetrail_harness::{Corner, Target, User, eventually};
use pulsetrail_infra::kafka::message_headers;
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::corner;

/// The first slot of the results that tests send, in ms: five days before the test began, so that none is
/// too old and all are told from those of probers.
pub(crate) fn first_slot_ms() -> i64 {
    static FIRST: LazyLock<i64> =
        LazyLock::new(|| (Utc::now() - chrono::Duration::days(5)).timestamp() * 1_000);
    *FIRST
}

/// Whether a slot is one of a result that a test sent, and not of a prober's.
pub(crate) fn is_sent(slot: &str) -> bool {
    slot.parse::<Timestamp>().unwrap() < Utc::now() - chrono::Duration::days(1)
}

/// A successful result of a slot, as a prober would send it.
pub(crate) fn result_of(
    monitor: MonitorId,
    organization: OrganizationId,
    slot_ms: i64,
) -> ResultMessage {
    let region = Region::default();
    ResultMessage {
        monitor_id: monitor,
        organization_id: organization,
        result: CheckResult {
            check_id: scheduled_check_id(monitor, &region, slot_ms),
            region,
            scheduled_at: timestamp_from_millis(slot_ms),
            started_at: timestamp_from_millis(slot_ms + 1),
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
    }
}

pub(crate) struct Results {
    producer: FutureProducer,
    topic: String,
}

impl Results {
    pub(crate) fn of(corner: &Corner) -> Self {
        let kafka = corner.kafka();
        Self { producer: kafka.producer().unwrap(), topic: kafka.topics.results() }
    }

    pub(crate) async fn send(&self, key: &str, payload: &[u8]) {
        let id = Uuid::new_v4().to_string();
        let now = timestamp_from_millis(0);
        let headers = message_headers(RESULT_TYPE, &id, now, OrganizationId::default());
        let record = FutureRecord::to(&self.topic).key(key).payload(payload).headers(headers);
        self.producer.send(record, Duration::from_secs(10)).await.unwrap();
    }

    pub(crate) async fn send_result(&self, message: &ResultMessage) {
        let payload = serde_json::to_vec(message).unwrap();
        self.send(&message.monitor_id.to_string(), &payload).await;
    }
}

/// A monitor that is not checked by itself for a long time.
pub(crate) async fn quiet_monitor(user: &User, target: &Target) -> MonitorId {
    let body = json!({ "url": target.url(), "interval_seconds": 86_400 });
    let answer = user.post("/api/v1/monitors", &body).await;
    let id = answer.body["id"].as_str().unwrap().to_owned();
    user.until_status(&id, "up").await;
    id.parse().unwrap()
}

pub(crate) async fn recorded_slots(user: &User, monitor: MonitorId) -> Vec<String> {
    let events = user.events(&monitor.to_string()).await;
    let checks = events.iter().filter(|event| event["event_type"] == "CheckCompleted");
    checks.map(|e| e["payload"]["scheduled_at"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_delivered_again_is_counted_once_also_after_it_was_forgotten() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let results = Results::of(&corner);
    let result = |slot: i64| result_of(monitor, organization, first_slot_ms() + slot * 1_000);
    // More than are remembered, so that the first ones must be looked up in the store.
    for slot in 0..80 {
        results.send_result(&result(slot)).await;
    }
    for slot in [79, 40, 0, 1, 0] {
        results.send_result(&result(slot)).await;
    }
    results.send_result(&result(80)).await;
    let slots = eventually("the last result is recorded", async || {
        let slots = recorded_slots(&user, monitor).await;
        let last = serde_json::to_value(result(80).result.scheduled_at).unwrap();
        slots.iter().any(|slot| last == **slot).then_some(slots)
    })
    .await;
    // And the check that the registration led to.
    assert_eq!(slots.len(), 82, "{slots:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_at_fault_is_set_aside_with_its_reason_and_harms_no_other() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let stranger = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let results = Results::of(&corner);
    let slot = first_slot_ms();

    results.send_result(&result_of(monitor, organization, slot)).await;
    results.send(&monitor.to_string(), b"not JSON").await;
    results.send(&monitor.to_string(), &[0xff, 0x00]).await;
    results.send_result(&result_of(MonitorId(Uuid::new_v4()), organization, slot)).await;
    let strangers = stranger.organization.parse().unwrap();
    results.send_result(&result_of(monitor, strangers, slot + 1_000)).await;
    results.send_result(&result_of(monitor, organization, slot + 2_000)).await;
    // What a target may have sent, and Postgres does not take.
    let mut odd = result_of(monitor, organization, slot + 3_000);
    odd.result.outcome = Outcome::Down;
    let (cause, detail) = (FailureCause::DnsAnswerUnexpected, "a\0b".to_owned());
    odd.result.findings =
        Some(Box::new(Findings { answers: vec![detail.clone()], ..Findings::default() }));
    odd.result.failure = Some(Failure { cause, detail });
    results.send_result(&odd).await;

    let store = corner.store().await;
    let letters = eventually("four dead letters", async || {
        let letters: Vec<(String, Option<Vec<u8>>)> =
            sqlx::query_as("select reason, payload from dead_letters order by reason")
                .fetch_all(&store.read)
                .await
                .unwrap();
        (letters.len() == 4).then_some(letters)
    })
    .await;
    let reasons: Vec<&str> = letters.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["malformed", "malformed", "organization_mismatch", "unknown_monitor"]);
    assert!(letters.iter().any(|(_, payload)| payload.as_deref() == Some(b"not JSON")));
    eventually("the good results are recorded, and the one with a NUL", async || {
        (recorded_slots(&user, monitor).await.len() == 4).then_some(())
    })
    .await;
    let events = user.events(&monitor.to_string()).await;
    let odd = events.iter().find(|event| event["payload"]["outcome"] == "down").unwrap();
    assert_eq!(odd["payload"]["failure"]["detail"], "a\\000b");
    assert_eq!(odd["payload"]["findings"]["answers"], json!(["a\\000b"]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_messages_among_events_and_jobs_stop_nothing() {
    let corner = corner().await;
    let app = corner.start().await;
    let kafka = corner.kafka();
    let producer = kafka.producer().unwrap();
    for topic in [kafka.topics.events(), kafka.topics.jobs(&Region::default())] {
        let record = FutureRecord::<str, [u8]>::to(&topic).partition(0).payload(b"\xff{");
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let monitor = user.watch(&target.url()).await;
    feed.until_event("CheckCompleted").await;
    eventually("the check is in ClickHouse", async || {
        let path = format!("/api/v1/monitors/{monitor}/checks");
        let answer = user.send(user.request(Method::GET, &path)).await;
        (!answer.body["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    app.stop().await;
}
