//! A check at once.

use std::time::Duration;

use pulsetrail_domain::CheckId;
use pulsetrail_harness::User;
use pulsetrail_infra::kafka::{attribute, payload_of};
use pulsetrail_infra::messages::{JOB_TYPE, Job};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use reqwest::StatusCode;
use serde_json::json;

use super::Commands;
use crate::corner;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_on_demand_reaches_the_probers_of_the_first_region() {
    let corner = corner().await;
    let (commands, kafka) = (Commands::start(&corner).await, corner.kafka());
    let regions = ["default", "eu"].map(|name| name.parse().unwrap());
    kafka.ensure_topics(&regions).await.unwrap();
    let user = User::sign_up(&commands.url).await;
    let body = json!({"url": "https://example.com", "regions": ["eu", "default"]});
    let id = user.post("/api/v1/monitors", &body).await.body["id"].as_str().unwrap().to_owned();

    // The short form is the same.
    let asked = user.post(&format!("/monitors/{id}/check"), &json!({})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.body);
    let check_id: CheckId = serde_json::from_value(asked.body["check_id"].clone()).unwrap();
    assert_eq!(check_id.0.get_version_num(), 7);

    let consumer = kafka.group_consumer("test").unwrap();
    consumer.subscribe(&[&kafka.topics.jobs_on_demand(&regions[1])]).unwrap();
    let message = tokio::time::timeout(Duration::from_secs(20), consumer.recv()).await;
    let message = message.expect("a job in time").unwrap();
    assert_eq!(message.key(), Some(id.as_bytes()));
    assert_eq!(attribute(&message, "ce_type").unwrap(), JOB_TYPE);
    assert_eq!(attribute(&message, "ce_organizationid").unwrap(), user.organization);
    let job: Job = payload_of(&message).unwrap();
    assert_eq!((job.check_id, job.config_version), (check_id, 1));
    assert_eq!((job.deadline - job.scheduled_at).num_seconds(), 60);

    let path = format!("/api/v1/monitors/{id}");
    user.post(&format!("{path}/pause"), &json!({})).await;
    let refused = user.post(&format!("{path}/check"), &json!({})).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::CONFLICT, &json!("paused")));
}
