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

use super::assignment::Assignment;
use super::hosts::HostLimits;
use super::lane::{Lane, Permits};
use super::pace::Pace;
use super::recent::{Begun, Recent};
use super::watermark::Ticket;
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
    /// Its partition was taken away before its turn came: another prober makes it.
    HandedOver,
}

/// What a job holds until it is finished.
pub(super) struct Taken {
    pub(super) lane: Lane,
    /// Its place among the jobs that are taken.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// How long it lay in the queue.
    pub(super) lain: Duration,
    /// What says whether it is still to be made here.
    pub(super) claim: Claim,
}

/// A job's place in its partition, which may be taken away.
pub(super) struct Claim {
    pub(super) assignment: Assignment,
    pub(super) ticket: Ticket,
}

impl Claim {
    /// The job's check begins; false where another prober makes it.
    fn begin(&self) -> bool {
        self.assignment.watermarks().begin(self.ticket)
    }
}

/// Finishes a job when its time has come: makes it, unless it is being made or was made already, or
/// drops it. False where it is another prober's by then, and is not finished.
pub(super) async fn take(desk: &Desk, taken: Taken, job: &Job, trace: Option<Traceparent>) -> bool {
    let Taken { lane, mut place, lain, claim } = taken;
    let now = Utc::now();
    let left = (job.deadline - now).to_std().unwrap_or_default();
    let making = loop {
        match desk.recent.begin(job.check_id, job.deadline, now) {
            Begun::First(making) => break making,
            Begun::Before(finished) => finished.cancelled().await,
            Begun::Made => return true,
        }
    };
    if left.is_zero() {
        drop_late(job);
        return true;
    }
    let slot_ms = job.scheduled_at.timestamp_millis();
    if lane == Lane::Scheduled && !desk.pace.admit(slot_ms, lain) {
        // Those that wait for their turn keep no place from those whose turn it is.
        let Ok(parked) = Arc::clone(&desk.parked).try_acquire_owned() else {
            drop_late(job);
            return true;
        };
        place = Some(parked);
        if !desk.pace.turn(left).await {
            drop_late(job);
            return true;
        }
    }
    let is_finished = finish(desk, lane, (job, &claim), trace).await;
    if is_finished {
        making.made();
    }
    drop(place);
    is_finished
}

fn drop_late(job: &Job) {
    metrics::job_dropped("deadline");
    tracing::debug!(monitor.id = %job.monitor_id, check.id = %job.check_id, "a job came too late");
}

/// Makes a job's check and delivers its result, as a part of the same trace, or drops the job. Either
/// way it is finished then, unless it is another prober's.
async fn finish(
    desk: &Desk,
    lane: Lane,
    (job, claim): (&Job, &Claim),
    trace: Option<Traceparent>,
) -> bool {
    let trace = trace.unwrap_or_else(|| Traceparent::of_check(job.check_id));
    match make(desk, lane, (job, claim)).await {
        Ok(result) => deliver(desk, job, &result, &trace).await,
        Err(Dropped::Deadline) => drop_late(job),
        Err(Dropped::HandedOver) => return false,
    }
    true
}

async fn make(
    desk: &Desk,
    lane: Lane,
    (job, claim): (&Job, &Claim),
) -> Result<ResultMessage, Dropped> {
    let left = (job.deadline - Utc::now()).to_std().map_err(|_| Dropped::Deadline)?;
    // First the host's turn, then a check's: who waits for a busy host keeps nobody else waiting.
    let turn = async {
        let host = desk.hosts.acquire(&host(job), lane).await?;
        let check = desk.checks.acquire(lane).await?;
        Some((host, check))
    };
    let Ok(Some(_permits)) = timeout(left, turn).await else { return Err(Dropped::Deadline) };
    if !claim.begin() {
        return Err(Dropped::HandedOver);
    }
    metrics::checks_in_flight(desk.checks.taken());
    let began = Instant::now();
    // Boxed: the many jobs that wait for their turn need not make room for it.
    let result = Box::pin(desk.checker.run(job)).await;
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
