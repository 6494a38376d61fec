//! One job: checked, and its result brought to Kafka.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::monitor::Target;
use pulsetrail_infra::dead_letters::Letter as Dead;
use pulsetrail_infra::kafka::{is_passing, message_headers, traced};
use pulsetrail_infra::messages::{Job, RESULT_TYPE, ResultMessage};
use pulsetrail_infra::trace::Traceparent;
use pulsetrail_infra::vitals::{self, Stage};
use pulsetrail_infra::{egress, metrics};
use rdkafka::error::KafkaError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::hosts::HostLimits;
use super::lane::{Lane, Permits};
use super::pace::Pace;
use super::recent::{Begun, Recent};
use crate::check::{Checker, outcome_name};
use crate::outbox::{Letter, Outbox};

/// The longest pause before a result is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the jobs of a prober share.
pub(super) struct Desk {
    pub(super) checker: Checker,
    pub(super) outbox: Outbox,
    pub(super) results_topic: String,
    pub(super) dead_letters_topic: String,
    /// Checks under way at most.
    pub(super) checks: Permits,
    pub(super) hosts: HostLimits,
    pub(super) pace: Pace,
    pub(super) recent: Recent,
    /// Places of jobs that wait for their time.
    pub(super) parked: Arc<Semaphore>,
}

/// Why a job was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    /// Its deadline passed before its turn came.
    Deadline,
}

/// What a job holds until it is finished.
pub(super) struct Taken {
    pub(super) lane: Lane,
    /// Its place among the jobs that are taken.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// How long it lay in the queue.
    pub(super) lain: Duration,
}

/// Finishes a job when its time has come: makes it, unless it is being made or was made already, or
/// drops it.
pub(super) async fn take(desk: Arc<Desk>, taken: Taken, job: Job, trace: Option<Traceparent>) {
    let Taken { lane, mut place, lain } = taken;
    let now = Utc::now();
    let left = (job.deadline - now).to_std().unwrap_or_default();
    let _finished = match desk.recent.begin(job.check_id, job.deadline, now) {
        Begun::First(finished) => finished,
        Begun::Before(finished) => return finished.cancelled().await,
    };
    if left.is_zero() {
        return drop_late(&job);
    }
    let slot_ms = job.scheduled_at.timestamp_millis();
    if lane == Lane::Scheduled && !desk.pace.admit(slot_ms, lain) {
        // Those that wait for their turn keep no place from those whose turn it is.
        let Ok(parked) = Arc::clone(&desk.parked).try_acquire_owned() else {
            return drop_late(&job);
        };
        place = Some(parked);
        if !desk.pace.turn(left).await {
            return drop_late(&job);
        }
    }
    finish(desk, lane, job, trace).await;
    drop(place);
}

fn drop_late(job: &Job) {
    metrics::job_dropped("deadline");
    tracing::debug!(monitor.id = %job.monitor_id, check.id = %job.check_id, "a job came too late");
}

/// Makes a job's check and delivers its result, as a part of the same trace, or drops the job. Either
/// way it is finished then.
async fn finish(desk: Arc<Desk>, lane: Lane, job: Job, trace: Option<Traceparent>) {
    let trace = trace.unwrap_or_else(|| Traceparent::of_check(job.check_id));
    match make(&desk, lane, &job).await {
        Ok(result) => deliver(&desk, &job, &result, &trace).await,
        Err(Dropped::Deadline) => drop_late(&job),
    }
}

async fn make(desk: &Desk, lane: Lane, job: &Job) -> Result<ResultMessage, Dropped> {
    let left = (job.deadline - Utc::now()).to_std().map_err(|_| Dropped::Deadline)?;
    // First the host's turn, then a check's: who waits for a busy host keeps nobody else waiting.
    let turn = async {
        let host = desk.hosts.acquire(&host(job), lane).await?;
        let check = desk.checks.acquire(lane).await?;
        Some((host, check))
    };
    let Ok(Some(_permits)) = timeout(left, turn).await else { return Err(Dropped::Deadline) };
    metrics::checks_in_flight(desk.checks.taken());
    let began = Instant::now();
    let result = desk.checker.run(job).await;
    let took = began.elapsed();
    let CheckResult { scheduled_at, started_at, outcome, attempts, .. } = &result.result;
    metrics::check_made(outcome_name(*outcome), took.as_secs_f64(), *attempts);
    let queued = (*started_at - *scheduled_at).num_microseconds().unwrap_or_default();
    metrics::stage_passed(Stage::Queued, 1, queued);
    metrics::stage_passed(Stage::Probing, 1, vitals::microseconds(took));
    if let Some(blocked) = result.blocked() {
        egress::report(&blocked);
    }
    Ok(result)
}

/// What checks of the same host have in common.
fn host(job: &Job) -> String {
    match &job.target {
        Target::Http(http) => http.url.url().host_str().unwrap_or_default().to_owned(),
        Target::Tcp(tcp) => tcp.host.to_string(),
        Target::Tls(tls) => tls.host.to_string(),
        Target::Dns(dns) => {
            dns.resolver.map_or_else(|| dns.name.to_string(), |resolver| resolver.to_string())
        }
        Target::Heartbeat(_) => String::new(),
    }
}

/// Brings a result to Kafka.
async fn deliver(desk: &Desk, job: &Job, result: &ResultMessage, trace: &Traceparent) {
    let payload = match serde_json::to_string(result) {
        Ok(payload) => payload,
        Err(error) => {
            tracing::error!(check.id = %job.check_id, %error, "a result cannot be written as JSON");
            return;
        }
    };
    let check_id = job.check_id.to_string();
    let headers = message_headers(RESULT_TYPE, &check_id, Utc::now(), job.organization_id);
    let letter = Letter {
        topic: desk.results_topic.clone(),
        key: job.monitor_id.to_string(),
        payload,
        headers: traced(headers, trace),
        written_ms: Utc::now().timestamp_millis(),
    };
    if let Err(error) = send(desk, &letter).await {
        tracing::error!(check.id = check_id, %error, "a result is refused by Kafka and is lost");
    }
}

/// Brings a message that is no job to the dead letters. A prober reaches Kafka alone: the recorder makes
/// a row of what it finds in the topic.
pub(super) async fn set_aside(desk: &Desk, dead: &Dead) {
    dead.report();
    let letter = Letter {
        topic: desk.dead_letters_topic.clone(),
        key: dead.id.to_string(),
        payload: dead.message_payload(),
        headers: dead.message_headers(),
        written_ms: Utc::now().timestamp_millis(),
    };
    if let Err(error) = send(desk, &letter).await {
        tracing::error!(dead_letter.id = %dead.id, %error, "a dead letter is refused by Kafka");
    }
}

/// Sends a message until the cluster has it, however long that is away; the error where the cluster
/// refuses the message itself.
async fn send(desk: &Desk, letter: &Letter) -> Result<(), KafkaError> {
    let mut pause = Duration::from_millis(50);
    while let Err(error) = desk.outbox.deliver(letter).await {
        desk.outbox.renew_after(&error);
        if !is_passing(&error) && !Outbox::is_fatal(&error) {
            return Err(error);
        }
        tracing::warn!(kafka.topic = letter.topic, %error, "a message could not be sent yet");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}
