//! The jobs of checks besides those of the schedule: on demand, and after a change of the target.

use std::time::Duration;

use axum::http::StatusCode;
use pulsetrail_domain::health::HeartbeatPolicy;
use pulsetrail_domain::monitor::{Monitor, MonitorConfig, MonitorError};
use pulsetrail_domain::slot::latest_begin_ms;
use pulsetrail_domain::{
    CheckId, MonitorId, OrganizationId, Region, Timestamp, timestamp_from_millis,
};
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::kafka::{message_headers, traced};
use pulsetrail_infra::messages::{JOB_TYPE, Job};
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::store::{database_time, save_check_trace};
use pulsetrail_infra::trace::Traceparent;
use rdkafka::producer::FutureRecord;
use rdkafka::producer::future_producer::DeliveryFuture;

use super::super::CommandState;
use super::check::check_id;
use super::sealed::with_secrets;

/// How long the caller waits for Kafka.
const KAFKA_WAIT: Duration = Duration::from_secs(5);

/// Sends the job of a check on demand, whose slot is `now` by the database's clock: a server whose own
/// clock is ahead would make a result that outranks those of the schedule.
pub(super) async fn ask(
    state: &CommandState,
    (monitor_id, organization_id): (MonitorId, OrganizationId),
    monitor: &Monitor,
    (check_id, now): (CheckId, Timestamp),
    trace: &Traceparent,
) -> Result<(), Problem> {
    let (monitor, secrets) = with_secrets(state, (monitor_id, organization_id), monitor).await?;
    let (config, region) = can_be_checked(&monitor)?;
    let whose = (monitor_id, organization_id, monitor.version);
    // Its event will say nothing of a trace: this is where the relay finds it.
    save_check_trace(&state.store.write, check_id, trace).await?;
    let job = Job { secrets, ..job(whose, config, region.clone(), check_id, now) };
    send(state, &job, trace).await
}

/// Has a monitor checked in each of its regions whose target was just changed: until its next slot, which may
/// be a day away, it would keep the status of the former target. The answer to the change waits for
/// none of it, and where Kafka or Postgres do not take it the next slot comes as it would have.
pub(super) async fn ask_after_change(
    state: &CommandState,
    whose: (MonitorId, OrganizationId),
    monitor: &Monitor,
    trace: &Traceparent,
) {
    let asked = async {
        let now = database_time(&state.store.read).await?;
        let (monitor, secrets) = with_secrets(state, whose, monitor).await?;
        let Ok((config, _)) = can_be_checked(&monitor) else { return Ok(()) };
        for region in &config.regions {
            let check_id = check_id(now, None, None);
            save_check_trace(&state.store.write, check_id, trace).await?;
            let whose = (whose.0, whose.1, monitor.version);
            let job = job(whose, config, region.clone(), check_id, now);
            enqueue(state, &Job { secrets: secrets.clone(), ..job }, trace)?;
        }
        Ok::<(), Problem>(())
    };
    if let Err(problem) = asked.await {
        let monitor_id = whose.0;
        tracing::warn!(monitor.id = %monitor_id, code = problem.code, "a changed monitor is not checked before its next slot");
    }
}

/// What is checked, and the first region that checks it.
///
/// # Errors
/// 409 of a monitor that is paused, archived or a heartbeat.
pub(super) fn can_be_checked(monitor: &Monitor) -> Result<(&MonitorConfig, &Region), Problem> {
    let config = monitor.config.as_ref().ok_or(MonitorError::NotFound)?;
    if monitor.archived {
        return Err(MonitorError::Archived.into());
    }
    if monitor.paused {
        let detail = "The monitor is paused: resume it first.";
        return Err(Problem::new(StatusCode::CONFLICT, "paused", detail));
    }
    if HeartbeatPolicy::of(config).is_some() {
        let detail = "The monitor is a heartbeat: it reports by itself.";
        return Err(Problem::new(StatusCode::CONFLICT, "reports_by_itself", detail));
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
        deadline: timestamp_from_millis(latest_begin_ms(
            now.timestamp_millis(),
            config.interval_ms(),
        )),
        target: config.target.clone(),
        timeout_ms: config.timeout_ms,
        retries: config.retries,
        config_version,
        valid_for_ms: config.valid_for_ms(),
        secrets: SealedSecrets::default(),
    }
}

async fn send(state: &CommandState, job: &Job, trace: &Traceparent) -> Result<(), Problem> {
    match tokio::time::timeout(KAFKA_WAIT, enqueue(state, job, trace)?).await {
        Ok(Ok(Ok(_))) => Ok(()),
        Ok(Ok(Err((error, _)))) => Err(Problem::unavailable(error)),
        Ok(Err(canceled)) => Err(Problem::unavailable(canceled)),
        // It may be sent yet: the check is then made, and recorded once.
        Err(_) => Err(Problem::unavailable("Kafka did not take a job in time")),
    }
}

/// Hands a job to the producer, which sends it whether or not somebody waits for its delivery.
fn enqueue(
    state: &CommandState,
    job: &Job,
    trace: &Traceparent,
) -> Result<DeliveryFuture, Problem> {
    let payload = serde_json::to_vec(job).map_err(Problem::internal)?;
    let (topic, key) = (state.kafka.topics.jobs_on_demand(&job.region), job.monitor_id.to_string());
    let id = job.check_id.to_string();
    let headers = message_headers(JOB_TYPE, &id, job.scheduled_at, job.organization_id);
    let headers = traced(headers, trace);
    let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
    state.producer.send_result(record).map_err(|(error, _)| Problem::unavailable(error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

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
