//! `POST /api/v1/monitors/{id}/check`: a check at once, besides those of the schedule.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{TimeDelta, Utc};
use pulsetrail_domain::monitor::{Monitor, MonitorConfig, MonitorError};
use pulsetrail_domain::{
    CheckId, MonitorId, OrganizationId, Region, Timestamp, timestamp_from_millis,
};
use pulsetrail_infra::http::{IdempotencyKey, Problem};
use pulsetrail_infra::kafka::message_headers;
use pulsetrail_infra::messages::{JOB_TYPE, Job};
use rdkafka::message::Header;
use rdkafka::producer::FutureRecord;
use rdkafka::util::Timeout;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::CommandState;
use super::response::Addressed;

/// How long the caller waits for Kafka.
const KAFKA_WAIT: Duration = Duration::from_secs(5);
/// The longest that a job is good for.
const MAX_JOB_AGE_MS: i64 = 60_000;

/// The check that was asked for; its result is recorded under this id.
#[derive(Serialize)]
pub(crate) struct CheckAsked {
    check_id: CheckId,
}

/// Asks for a check from the monitor's first region: 202 with its id. 409 of a monitor that is paused
/// or archived.
pub(crate) async fn check(
    State(state): State<CommandState>,
    addressed: Addressed,
    key: IdempotencyKey,
) -> Result<(StatusCode, Json<CheckAsked>), Problem> {
    let monitor = addressed.load(&state).await?;
    addressed.expected_version(&monitor)?;
    let (config, region) = can_be_checked(&monitor)?;
    // With a key, the same check: its result is recorded once, however often it is asked for.
    let route = format!("POST /api/v1/monitors/{}/check", addressed.monitor_id());
    key.claim(&state.store.write, addressed.identity().organization_id, &route, &Value::Null)
        .await?;
    let with_key = key.id(addressed.identity().organization_id, &route);
    let check_id = CheckId(with_key.unwrap_or_else(Uuid::now_v7));
    let now = timestamp_from_millis(Utc::now().timestamp_millis());
    let organization_id = addressed.identity().organization_id;
    let job = job(
        (addressed.monitor_id(), organization_id, monitor.version),
        config,
        region.clone(),
        check_id,
        now,
    );
    send(&state, &job, addressed.context().traceparent()).await?;
    Ok((StatusCode::ACCEPTED, Json(CheckAsked { check_id })))
}

fn can_be_checked(monitor: &Monitor) -> Result<(&MonitorConfig, &Region), Problem> {
    let config = monitor.config.as_ref().ok_or(MonitorError::NotFound)?;
    if monitor.archived {
        return Err(MonitorError::Archived.into());
    }
    if monitor.paused {
        let detail = "The monitor is paused: resume it first.";
        return Err(Problem::new(StatusCode::CONFLICT, "paused", detail));
    }
    let region = config.regions.first().ok_or(MonitorError::NotFound)?;
    Ok((config, region))
}

fn job(
    (monitor_id, organization_id, config_version): (MonitorId, OrganizationId, i64),
    config: &MonitorConfig,
    region: Region,
    check_id: CheckId,
    now: Timestamp,
) -> Job {
    Job {
        check_id,
        monitor_id,
        organization_id,
        region,
        scheduled_at: now,
        deadline: now + TimeDelta::milliseconds(config.interval_ms().min(MAX_JOB_AGE_MS)),
        target: config.target.clone(),
        timeout_ms: config.timeout_ms,
        retries: config.retries,
        config_version,
        valid_for_ms: config.valid_for_ms(),
    }
}

async fn send(state: &CommandState, job: &Job, traceparent: Option<&str>) -> Result<(), Problem> {
    let payload = serde_json::to_vec(job).map_err(Problem::internal)?;
    let (topic, key) = (state.kafka.topics.jobs(&job.region), job.monitor_id.to_string());
    let id = job.check_id.to_string();
    let mut headers = message_headers(JOB_TYPE, &id, job.scheduled_at, job.organization_id);
    if traceparent.is_some() {
        headers = headers.insert(Header { key: "traceparent", value: traceparent });
    }
    let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
    let sent = state.producer.send(record, Timeout::After(KAFKA_WAIT));
    match tokio::time::timeout(KAFKA_WAIT, sent).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(Problem::unavailable(error)),
        // It may be sent yet: the check is then made, and recorded once.
        Err(_) => Err(Problem::unavailable("Kafka did not take a job in time")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::body;
    use super::*;

    fn monitor() -> Monitor {
        let body =
            json!({"url": "https://example.com", "interval_seconds": 30, "regions": ["b", "a"]});
        let config = Some(body::read(body).unwrap().config);
        Monitor { version: 4, config, ..Monitor::default() }
    }

    #[test]
    fn a_check_on_demand_is_a_job_of_the_first_region() {
        let monitor = monitor();
        let (config, region) = can_be_checked(&monitor).unwrap();
        let now = timestamp_from_millis(1_000_000);
        let ids = (MonitorId::default(), OrganizationId::default(), monitor.version);
        let job = job(ids, config, region.clone(), CheckId(Uuid::now_v7()), now);
        assert_eq!(job.region.as_str(), "b");
        assert_eq!(job.scheduled_at, now);
        assert_eq!(job.deadline, timestamp_from_millis(1_030_000));
        assert_eq!((job.config_version, job.valid_for_ms), (4, 70_000));
        let slow = MonitorConfig { interval_seconds: 3_600, ..config.clone() };
        let job = super::job(ids, &slow, region.clone(), job.check_id, now);
        assert_eq!(job.deadline, timestamp_from_millis(1_060_000));
    }

    #[test]
    fn what_is_not_checked_cannot_be_checked_on_demand() {
        let refused = |monitor: Monitor| can_be_checked(&monitor).map(|_| ()).unwrap_err().status;
        assert_eq!(refused(Monitor { paused: true, ..monitor() }), 409);
        assert_eq!(refused(Monitor { archived: true, ..monitor() }), 409);
        assert_eq!(refused(Monitor::default()), 404);
    }
}
