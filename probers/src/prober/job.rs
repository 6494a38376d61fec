//! One job: checked, and its result brought to Kafka.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::monitor::Target;
use pulsetrail_infra::dead_letters::{Letter as Dead, Reason};
use pulsetrail_infra::kafka::{is_passing, message_headers, traced};
use pulsetrail_infra::messages::{Job, RESULT_TYPE, ResultMessage};
use pulsetrail_infra::trace::Traceparent;
use pulsetrail_infra::vitals::{self, Stage};
use pulsetrail_infra::{egress, metrics};
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::assignment::Assignment;
use super::drops::{DropReason, Drops};
use super::hosts::HostLimits;
use super::lane::Lane;
use super::pace::Pace;
use super::permits::SharedPermits;
use super::recent::{Begun, Recent};
use super::room::Place;
use super::watermark::Ticket;
use crate::check::{Checker, outcome_name};
use crate::outbox::{Letter, Outbox};

/// The consumer of results.
const RECORDER: &str = "recorder";
/// The partition and the offset of a message that its topic never had.
const NOWHERE: i32 = -1;
/// The longest pause before a result is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the jobs of a prober share.
pub(super) struct Context {
    pub(super) checker: Checker,
    pub(super) outbox: Outbox,
    pub(super) results_topic: String,
    pub(super) dead_letters_topic: String,
    /// Checks under way at most.
    pub(super) checks: Arc<SharedPermits>,
    pub(super) hosts: HostLimits,
    pub(super) pace: Pace,
    pub(super) recent: Recent,
    /// Places of late jobs that wait for their turn.
    pub(super) parked: Arc<Semaphore>,
    pub(super) drops: Drops,
}

/// Why a job's check was not made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotMade {
    /// It is not made at all.
    Dropped(DropReason),
    /// Its partition was taken away before its turn came: another prober makes it.
    HandedOver,
}

/// What a job holds until it is finished.
pub(super) struct Taken {
    pub(super) lane: Lane,
    /// Its place among the jobs that are taken.
    pub(super) place: Place,
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
pub(super) async fn take(
    context: &Context,
    taken: Taken,
    job: &Job,
    trace: Option<Traceparent>,
) -> bool {
    let Taken { lane, place, lain, claim } = taken;
    let (mut place, mut parked) = (Some(place), None);
    let making = loop {
        match context.recent.begin(job.check_id, job.deadline, Utc::now()) {
            Begun::First(making) => break making,
            Begun::Before(finished) => finished.cancelled().await,
            Begun::Made => return true,
        }
    };
    let Some(left) = time_left(job) else {
        context.drops.count(job, DropReason::Deadline);
        return true;
    };
    let slot_ms = job.scheduled_at.timestamp_millis();
    if lane == Lane::Scheduled && !context.pace.admit(slot_ms, lain) {
        // A late job keeps no place from the punctual ones. If too many wait, its turn is now.
        if let Ok(permit) = Arc::clone(&context.parked).try_acquire_owned() {
            (place, parked) = (None, Some(permit));
            context.pace.turn(left).await;
        }
    }
    let is_finished = finish(context, lane, (job, &claim), trace).await;
    if is_finished {
        making.made();
    }
    drop((place, parked));
    is_finished
}

/// How long the job's check may wait yet until it begins; none when its deadline has passed.
fn time_left(job: &Job) -> Option<Duration> {
    (job.deadline - Utc::now()).to_std().ok().filter(|left| !left.is_zero())
}

/// Makes a job's check and delivers its result, as a part of the same trace, or drops the job. Either
/// way it is finished then, unless it is another prober's.
async fn finish(
    context: &Context,
    lane: Lane,
    (job, claim): (&Job, &Claim),
    trace: Option<Traceparent>,
) -> bool {
    let trace = trace.unwrap_or_else(|| Traceparent::of_check(job.check_id));
    match make(context, lane, (job, claim)).await {
        Ok(result) => deliver(context, job, &result, &trace).await,
        Err(NotMade::Dropped(reason)) => context.drops.count(job, reason),
        Err(NotMade::HandedOver) => return false,
    }
    true
}

async fn make(
    context: &Context,
    lane: Lane,
    (job, claim): (&Job, &Claim),
) -> Result<ResultMessage, NotMade> {
    let dropped = NotMade::Dropped;
    // First a permit of the host, then one of the prober: a job that waits for a busy host keeps no other
    // job waiting.
    let left = time_left(job).ok_or(dropped(DropReason::Deadline))?;
    let permit = timeout(left, context.hosts.acquire(&host(job), job.organization_id, lane)).await;
    let _host = permit.ok().flatten().ok_or(dropped(DropReason::HostLimit))?;
    let left = time_left(job).ok_or(dropped(DropReason::HostLimit))?;
    let permit = timeout(left, context.checks.acquire(job.organization_id, lane)).await;
    let _check = permit.ok().flatten().ok_or(dropped(DropReason::CheckLimit))?;
    if !claim.begin() {
        return Err(NotMade::HandedOver);
    }
    metrics::checks_in_flight(context.checks.held());
    let began = Instant::now();
    // Boxed: the many jobs that wait for their turn need not make room for it.
    let mut result = Box::pin(context.checker.run(job)).await;
    let took = began.elapsed();
    let CheckResult { scheduled_at, started_at, outcome, attempts, .. } = &result.result;
    metrics::check_made(outcome_name(*outcome), took.as_secs_f64(), *attempts);
    let queued = (*started_at - *scheduled_at).num_microseconds().unwrap_or_default();
    metrics::stage_passed(Stage::Queued, 1, queued);
    metrics::stage_passed(Stage::Probing, 1, vitals::microseconds(took));
    if let (Some(blocked), Some(refusal)) = (result.blocked(), result.refusal.take()) {
        egress::report(&blocked, &refusal.address);
        // From here on it is the organization's.
        result.refusal = Some(refusal.told());
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

/// Brings a result to Kafka. If it cannot be sent it becomes a dead letter.
async fn deliver(context: &Context, job: &Job, result: &ResultMessage, trace: &Traceparent) {
    let check_id = job.check_id.to_string();
    let headers = message_headers(RESULT_TYPE, &check_id, Utc::now(), job.organization_id);
    let mut letter = Letter {
        topic: context.results_topic.clone(),
        key: job.monitor_id.to_string(),
        payload: String::new(),
        headers: traced(headers, trace),
        written_ms: Utc::now().timestamp_millis(),
    };
    let (reason, fault) = match serde_json::to_string(result) {
        Ok(payload) => {
            letter.payload = payload;
            match send(context, &letter).await {
                Ok(()) => return,
                Err(error) => (Reason::RefusedByKafka, error.to_string()),
            }
        }
        Err(error) => (Reason::Malformed, error.to_string()),
    };
    set_aside(context, &dead_result(letter, job, reason, &fault)).await;
}

/// The dead letter of a result that never came to its topic. It is the recorder's, which the result was for, so
/// that trying it again resolves it.
fn dead_result(letter: Letter, job: &Job, reason: Reason, fault: &str) -> Dead {
    let Letter { topic, key, payload, headers, written_ms } = letter;
    let time = rdkafka::Timestamp::CreateTime(written_ms);
    let (payload, key) = (payload.into_bytes(), key.into_bytes());
    let message = OwnedMessage::new(
        Some(payload),
        Some(key),
        topic,
        time,
        NOWHERE,
        NOWHERE.into(),
        Some(headers),
    );
    let fault = format!("the result of check {} could not be sent: {fault}", job.check_id);
    Dead::of_message(RECORDER, &message, Some(job.organization_id), reason, fault)
}

/// Brings a message that is no job to the dead letters. A prober reaches Kafka alone: the recorder makes
/// a row of what it finds in the topic.
pub(super) async fn set_aside(context: &Context, dead: &Dead) {
    dead.report();
    let letter = Letter {
        topic: context.dead_letters_topic.clone(),
        key: dead.id.to_string(),
        payload: dead.message_payload(),
        headers: dead.message_headers(),
        written_ms: Utc::now().timestamp_millis(),
    };
    if let Err(error) = send(context, &letter).await {
        tracing::error!(dead_letter.id = %dead.id, %error, "a dead letter is refused by Kafka");
    }
}

/// Sends a message until the cluster has it, however long that is away; the error where the cluster
/// refuses the message itself.
async fn send(context: &Context, letter: &Letter) -> Result<(), KafkaError> {
    let mut pause = Duration::from_millis(50);
    while let Err(error) = context.outbox.deliver(letter).await {
        if !is_passing(&error) && !Outbox::is_fatal(&error) {
            return Err(error);
        }
        tracing::warn!(kafka.topic = letter.topic, %error, "a message could not be sent yet");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pulsetrail_infra::dead_letters::Origin;

    use super::super::tests::job;
    use super::*;

    #[test]
    fn a_result_that_cannot_be_sent_is_kept_whole_for_another_try() {
        let job = job();
        let letter = Letter {
            topic: "results".to_owned(),
            key: job.monitor_id.to_string(),
            payload: "{\"a\":1}".to_owned(),
            headers: message_headers(RESULT_TYPE, "1", job.deadline, job.organization_id),
            written_ms: 7,
        };
        let dead = dead_result(letter, &job, Reason::RefusedByKafka, "too long");
        assert_eq!((&*dead.consumer, &*dead.reason), ("recorder", "refused_by_kafka"));
        let topic = "results".to_owned();
        assert_eq!(dead.origin, Origin::Message { topic, partition: -1, offset: -1 });
        assert_eq!(dead.organization_id, Some(job.organization_id));
        let payload = dead.payload.as_ref().and_then(pulsetrail_infra::dead_letters::Shown::bytes);
        assert_eq!(payload.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert!(dead.headers.iter().any(|header| header.key == "ce_type"));
        assert!(dead.detail.contains(&job.check_id.to_string()), "{}", dead.detail);
    }
}
