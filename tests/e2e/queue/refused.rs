//! Results that Kafka does not take.

use pulsetrail_domain::{MonitorId, Region};
use pulsetrail_harness::{Target, eventually};
use pulsetrail_infra::dead_letters::{Letter, Shown};
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer as _;
use uuid::Uuid;

use super::jobs::{job, schedule};
use crate::corner;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_kafka_refuses_becomes_a_dead_letter() {
    let corner = corner().await;
    let kafka = corner.kafka();
    kafka.ensure_topics(&[Region::default()]).await.unwrap();
    let admin: AdminClient<DefaultClientContext> = kafka.brokers.client_config().create().unwrap();
    let topic = kafka.topics.results();
    // No result is that short.
    let limit = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", "100");
    let altered = admin.alter_configs([&limit], &AdminOptions::new()).await.unwrap();
    assert!(altered.iter().all(Result::is_ok), "{altered:?}");

    let prober = corner.role("prober").await.until_ready().await;
    let target = Target::start().await;
    let job = job(MonitorId(Uuid::now_v7()), &target.url());
    schedule(&kafka, [job.clone()]);
    eventually("it is counted", async || {
        let letters = prober.metric("pulsetrail_dead_letters_total").await;
        (letters == 1.0).then_some(())
    })
    .await;

    let consumer = kafka.group_consumer("test").unwrap();
    consumer.subscribe(&[&kafka.topics.dead_letters()]).unwrap();
    let received = tokio::time::timeout(pulsetrail_harness::PATIENCE, consumer.recv()).await;
    let message = received.unwrap().unwrap();
    let letter: Letter = serde_json::from_slice(message.payload().unwrap()).unwrap();
    assert_eq!((&*letter.consumer, &*letter.reason), ("recorder", "refused_by_kafka"));
    assert_eq!(letter.organization_id, Some(job.organization_id));
    let result = letter.payload.as_ref().and_then(Shown::bytes).unwrap();
    let result: serde_json::Value = serde_json::from_slice(&result).unwrap();
    assert_eq!(result["result"]["check_id"], job.check_id.to_string());
    assert_eq!(target.requests().len(), 1);
    assert!(prober.stop().await.success());
}
