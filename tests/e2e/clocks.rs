//! Clocks that disagree: results whose slots lie far from the present, and a server whose clock is ahead
//! of the database's.

use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::{Failure, FailureCause, Outcome};
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp};
use pulsetrail_harness::{Corner, Target, User, eventually, http_client, metrics};
use pulsetrail_infra::kafka::payload_of;
use pulsetrail_infra::messages::{Job, ResultMessage};
use pulsetrail_infra::store::Store;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::OwnedMessage;
use reqwest::StatusCode;
use serde_json::json;

use crate::commands::Commands;
use crate::corner;
use crate::faults::hasty::record;
use crate::recording::{Results, quiet_monitor, recorded_slots, result_of};

const HOUR_MS: i64 = 3_600_000;

fn failed(monitor: MonitorId, organization: OrganizationId, slot_ms: i64) -> ResultMessage {
    let mut message = result_of(monitor, organization, slot_ms);
    message.result.outcome = Outcome::Down;
    message.result.failure =
        Some(Failure { cause: FailureCause::ConnectRefused, detail: "nobody listens".to_owned() });
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_from_an_hour_ahead_is_set_aside_and_its_monitor_still_goes_down() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let store = corner.store().await;
    let results = Results::of(&corner);
    let [monitor, control] =
        [quiet_monitor(&user, &target).await, quiet_monitor(&user, &target).await];
    let now_ms = Utc::now().timestamp_millis();

    results.send_result(&result_of(monitor, organization, now_ms + HOUR_MS)).await;
    // The control: a recorder that does not look at the clock takes it.
    record(&store, result_of(control, organization, now_ms + HOUR_MS), false).await;
    for one in [monitor, control] {
        results.send_result(&failed(one, organization, now_ms + 5_000)).await;
    }
    user.until_status(&monitor.to_string(), "down").await;
    eventually("the failed check of the control is recorded", async || {
        (recorded_slots(&user, control).await.len() == 3).then_some(())
    })
    .await;
    let frozen = user.get(&format!("/api/v1/monitors/{control}")).await;
    assert_eq!(frozen.body["status"], "up", "{}", frozen.body);
    let letters = user.get("/api/v1/dead-letters").await.body["items"].clone();
    let letters: Vec<_> = letters.as_array().unwrap().iter().collect();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!(letters[0]["reason"], "scheduled_ahead");
    assert_eq!(letters[0]["key"], monitor.to_string());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_last_week_is_dropped_and_counted() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let monitor = quiet_monitor(&user, &target).await;
    let results = Results::of(&corner);
    let week_ago_ms = Utc::now().timestamp_millis() - 7 * 24 * HOUR_MS;

    results.send_result(&failed(monitor, organization, week_ago_ms - 1_000)).await;
    // The control: a minute later it is recorded.
    results.send_result(&failed(monitor, organization, week_ago_ms + 60_000)).await;
    eventually("the one that is young enough is recorded", async || {
        (recorded_slots(&user, monitor).await.len() == 2).then_some(())
    })
    .await;
    let metrics = metrics(&app.url).await.unwrap();
    let counted = "pulsetrail_recorder_results_total{effect=\"too_late\"} 1";
    assert!(metrics.lines().any(|line| line == counted), "{metrics}");
    assert_eq!(user.get("/api/v1/dead-letters").await.body["items"], json!([]));
    app.stop().await;
}

/// Sets the database's clock an hour back, before anything else is in it.
async fn set_back(store: &Store, corner: &Corner) {
    let behind = format!(
        "create function public.clock_timestamp() returns timestamptz language sql volatile as
             $$ select pg_catalog.clock_timestamp() - interval '1 hour' $$;
         alter database {} set search_path = public, pg_catalog;",
        corner.name
    );
    sqlx::raw_sql(&behind).execute(&store.read).await.unwrap();
}

/// The next message of a topic.
async fn next(corner: &Corner, topic: &str) -> OwnedMessage {
    let consumer = corner.kafka().group_consumer("test").unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let message = tokio::time::timeout(Duration::from_secs(20), consumer.recv()).await;
    message.expect("a message in time").unwrap().detach()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_on_demand_and_reports_have_the_databases_time_also_where_the_servers_is_ahead() {
    for (hours, label) in [(1, "the clock is ahead"), (0, "the control: it is not")] {
        let corner = corner().await;
        if hours > 0 {
            set_back(&corner.store().await, &corner).await;
        }
        let (commands, kafka) = (Commands::start(&corner).await, corner.kafka());
        kafka.ensure_topics(&[pulsetrail_domain::Region::default()]).await.unwrap();
        let user = User::sign_up(&commands.url).await;
        let body = json!({"url": "https://example.com"});
        let id = user.post("/api/v1/monitors", &body).await.body["id"].as_str().unwrap().to_owned();
        let asked = user.post(&format!("/api/v1/monitors/{id}/check"), &json!({})).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.body);
        let body = json!({
            "name": "backup", "target": {"type": "heartbeat", "grace_seconds": 60},
        });
        let heartbeat = user.post("/api/v1/monitors", &body).await.body;
        let path = heartbeat["heartbeat_path"].as_str().unwrap();
        let report = http_client().get(format!("{}{path}", commands.url)).send().await.unwrap();
        assert_eq!(report.status(), StatusCode::OK);

        let hours_behind = |at: Timestamp| ((Utc::now() - at).num_minutes() + 30) / 60;
        let region = pulsetrail_domain::Region::default();
        let job = next(&corner, &kafka.topics.jobs_on_demand(&region)).await;
        let job: Job = payload_of(&job).unwrap();
        assert_eq!(hours_behind(job.scheduled_at), hours, "{label}");
        let (seconds, _) = job.check_id.0.get_timestamp().unwrap().to_unix();
        let made_at = Timestamp::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap();
        assert_eq!(hours_behind(made_at), hours, "{label}");
        let message = next(&corner, &kafka.topics.results()).await;
        let message: ResultMessage = payload_of(&message).unwrap();
        assert_eq!(hours_behind(message.result.scheduled_at), hours, "{label}");
    }
}
