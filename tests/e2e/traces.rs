//! The trace that a request is a part of, on its way through the log, the jobs, the results and the
//! events of Apache Kafka.

use pulsetrail_harness::{Answer, Corner, Target, User};
use pulsetrail_infra::kafka::{Kafka, attribute};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::corner;

const OF_THE_MONITOR: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OF_THE_CHECK: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What is said of a trace in a topic, message by message.
struct Topic(StreamConsumer);

/// A message's type, trace and value.
type Seen = (String, Option<String>, Value);

impl Topic {
    fn new(kafka: &Kafka, topic: &str) -> Self {
        let consumer = kafka.group_consumer(&format!("test-{topic}")).unwrap();
        consumer.subscribe(&[topic]).unwrap();
        Self(consumer)
    }

    /// The next message that `wanted` knows.
    async fn next(&self, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let looked_for = async {
            loop {
                let message = self.0.recv().await.unwrap();
                let kind = attribute(&message, "ce_type").unwrap().to_owned();
                let trace = attribute(&message, "traceparent").ok().map(str::to_owned);
                let value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let seen = (kind, trace, value);
                if wanted(&seen) {
                    return seen;
                }
            }
        };
        let found = tokio::time::timeout(pulsetrail_harness::PATIENCE, looked_for).await;
        found.unwrap_or_else(|_| panic!("{what}: it did not come"))
    }

    async fn trace_of_check(&self, check: &str, kind: &str) -> Option<String> {
        let wanted = |seen: &Seen| seen.2["check_id"] == check && seen.0.ends_with(kind);
        self.next(&format!("{kind} of {check}"), wanted).await.1
    }
}

/// The trace of a check of the schedule: its id is the check's.
fn derived(check: &str) -> String {
    let id = check.replace('-', "");
    format!("00-{id}-{}-00", &id[16..])
}

async fn post(user: &User, path: &str, trace: &str, body: &Value) -> Answer {
    let request = user.request(Method::POST, path).header("traceparent", trace);
    user.send(request.json(body)).await
}

async fn publish_again(corner: &Corner) {
    let mut relay = corner.command(["relay", "--from", "1"]);
    assert!(relay.status().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_with_a_request_through_the_log_the_jobs_the_results_and_the_events() {
    let corner = corner().await;
    let app = corner.start().await;
    let (user, target) = (User::sign_up(&app.url).await, Target::start().await);
    let kafka = corner.kafka();
    let default = "default".parse().unwrap();
    let events = Topic::new(&kafka, &kafka.topics.events());
    let jobs = Topic::new(&kafka, &kafka.topics.jobs(&default));
    let jobs_on_demand = Topic::new(&kafka, &kafka.topics.jobs_on_demand(&default));
    let results = Topic::new(&kafka, &kafka.topics.results());
    // Whoever sends none has a trace nevertheless.
    let registered = events.next("the account", |seen| seen.0.ends_with("AccountRegistered")).await;
    assert_eq!(registered.1.unwrap().len(), OF_THE_MONITOR.len());

    let body = json!({"url": target.url(), "interval_seconds": 3_600});
    let monitor = post(&user, "/api/v1/monitors", OF_THE_MONITOR, &body).await;
    assert_eq!(monitor.status, StatusCode::CREATED, "{}", monitor.body);
    let id = monitor.body["id"].as_str().unwrap();
    let stored = user.events(id).await;
    assert_eq!(stored[0]["metadata"]["traceparent"], OF_THE_MONITOR);
    let published = events.next("the monitor", |seen| seen.0.ends_with("MonitorRegistered")).await;
    assert_eq!(published.1.as_deref(), Some(OF_THE_MONITOR));

    // The first check of the schedule.
    let first = events.next("its check", |seen| seen.0.ends_with("CheckCompleted")).await;
    let check = first.2["check_id"].as_str().unwrap();
    assert_eq!(first.1, Some(derived(check)));
    assert_eq!(jobs.trace_of_check(check, "job").await, Some(derived(check)));
    let reported = |seen: &Seen| seen.2["result"]["check_id"] == check;
    assert_eq!(results.next("its result", reported).await.1, Some(derived(check)));

    let asked =
        post(&user, &format!("/api/v1/monitors/{id}/check"), OF_THE_CHECK, &json!({})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.body);
    let check = asked.body["check_id"].as_str().unwrap();
    let job = jobs_on_demand.trace_of_check(check, "job").await;
    assert_eq!(job.as_deref(), Some(OF_THE_CHECK));
    let reported = |seen: &Seen| seen.2["result"]["check_id"] == check;
    assert_eq!(results.next("its result", reported).await.1.as_deref(), Some(OF_THE_CHECK));
    let completed = async || events.trace_of_check(check, "CheckCompleted").await;
    assert_eq!(completed().await.as_deref(), Some(OF_THE_CHECK));
    let kept = user.events(id).await;
    assert!(kept.iter().all(|e| e["aggregate_type"] != "health" || e["metadata"] == json!({})));

    // Published again it is the same trace; without what is kept beside it would be another.
    publish_again(&corner).await;
    assert_eq!(completed().await.as_deref(), Some(OF_THE_CHECK));
    let store = corner.store().await;
    sqlx::query("delete from check_traces").execute(&store.write).await.unwrap();
    publish_again(&corner).await;
    assert_eq!(completed().await, Some(derived(check)));
}
