//! Jobs that a test makes in the scheduler's place.

use chrono::{TimeDelta, Utc};
use pulsetrail_domain::monitor::{HttpTarget, Retries, Target as Watched, TargetUrl};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region, timestamp_from_millis};
use pulsetrail_infra::kafka::{Kafka, message_headers};
use pulsetrail_infra::messages::{JOB_TYPE, Job};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use uuid::Uuid;

/// A job of now for a monitor's check, with a check id of its own. It is worth making for a minute.
pub(crate) fn job(monitor_id: MonitorId, url: &str) -> Job {
    let now = timestamp_from_millis(Utc::now().timestamp_millis());
    Job {
        check_id: CheckId(Uuid::now_v7()),
        monitor_id,
        organization_id: OrganizationId::default(),
        region: Region::default(),
        scheduled_at: now,
        deadline: now + TimeDelta::seconds(60),
        target: Watched::Http(HttpTarget::get(TargetUrl::try_from(url.to_owned()).unwrap())),
        timeout_ms: 10_000,
        retries: Retries::default(),
        config_version: 1,
        valid_for_ms: 130_000,
        secrets: Default::default(),
    }
}

/// Puts jobs where the schedule's are.
pub(crate) fn schedule(kafka: &Kafka, jobs: impl IntoIterator<Item = Job>) {
    schedule_by(&kafka.producer().unwrap(), kafka, jobs);
}

/// The same again and again: a new producer takes a second to find its way.
pub(crate) fn schedule_by(
    producer: &FutureProducer,
    kafka: &Kafka,
    jobs: impl IntoIterator<Item = Job>,
) {
    send(producer, &kafka.topics.jobs(&Region::default()), jobs);
}

/// Puts jobs where those are that somebody asked for.
pub(crate) fn ask_for(kafka: &Kafka, jobs: impl IntoIterator<Item = Job>) {
    send(&kafka.producer().unwrap(), &kafka.topics.jobs_on_demand(&Region::default()), jobs);
}

fn send(producer: &FutureProducer, topic: &str, jobs: impl IntoIterator<Item = Job>) {
    for job in jobs {
        let (key, id) = (job.monitor_id.to_string(), job.check_id.to_string());
        let headers = message_headers(JOB_TYPE, &id, job.scheduled_at, job.organization_id);
        let payload = serde_json::to_vec(&job).unwrap();
        let record = FutureRecord::to(topic).key(&key).payload(&payload).headers(headers);
        drop(producer.send_result(record).unwrap());
    }
    producer.flush(pulsetrail_harness::PATIENCE).unwrap();
}
