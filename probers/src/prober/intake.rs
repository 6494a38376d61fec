//! Taking in the messages of a lane: each gets a place and is worked on, waits for a place, or is dropped.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::FutureExt as _;
use pulsetrail_domain::OrganizationId;
use pulsetrail_infra::dead_letters::{Letter as Dead, Reason};
use pulsetrail_infra::kafka::{payload_of, trace_of};
use pulsetrail_infra::messages::Job;
use pulsetrail_infra::metrics;
use pulsetrail_infra::trace::Traceparent;
use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::assignment::Assignment;
use super::drops::DropReason;
use super::job::{self, Claim, Context, Taken};
use super::lane::Lane;
use super::room::{Entry, Place, Room};
use super::watermark::Ticket;

/// The consumer of the prober's dead letters.
const PROBER: &str = "prober";

/// Where the jobs of a lane are taken in.
pub(super) struct Intake {
    pub(super) lane: Lane,
    pub(super) context: Arc<Context>,
    pub(super) assignment: Assignment,
    pub(super) room: Arc<Room>,
}

/// A message that was taken from the queue.
pub(super) struct Delivery {
    ticket: Ticket,
    /// The job, or the dead letter of what is none.
    read: Result<Job, Dead>,
    trace: Option<Traceparent>,
    /// How long it lay in the queue.
    lain: Duration,
}

impl Intake {
    /// Reads a message; none if it is another prober's, or was taken before.
    pub(super) fn read(&self, message: &BorrowedMessage<'_>) -> Option<Delivery> {
        let ticket = self.assignment.watermarks().take(message.partition(), message.offset())?;
        let read = payload_of::<Job>(message).map_err(|error| {
            metrics::job_dropped("malformed");
            let fault = error.to_string();
            Dead::of_message(PROBER, message, None, Reason::Malformed, fault)
        });
        Some(Delivery { ticket, read, trace: trace_of(message), lain: lain(message) })
    }

    /// Starts what is to be done about a message, in a place that is given back when it is finished. If there is
    /// none yet, the delivery is returned.
    pub(super) fn start(&self, delivery: Delivery, jobs: &mut JoinSet<()>) -> Option<Delivery> {
        let organization_id = match &delivery.read {
            Ok(job) => job.organization_id,
            Err(_) => OrganizationId::default(),
        };
        match self.room.enter(organization_id, Instant::now()) {
            Entry::Place(place) => self.work(delivery, place, jobs),
            Entry::Full => return Some(delivery),
            Entry::OverShare => match &delivery.read {
                Ok(job) => {
                    self.context.drops.count(job, DropReason::OrganizationLimit);
                    self.assignment.finish(delivery.ticket);
                }
                // No dead letter is dropped.
                Err(_) => return Some(delivery),
            },
        }
        None
    }

    fn work(&self, delivery: Delivery, place: Place, jobs: &mut JoinSet<()>) {
        let Delivery { ticket, read, trace, lain } = delivery;
        let (context, assignment) = (Arc::clone(&self.context), self.assignment.clone());
        let claim = Claim { assignment: assignment.clone(), ticket };
        let taken = Taken { lane: self.lane, place, lain, claim };
        match read {
            Ok(job) => jobs.spawn(async move {
                let work = AssertUnwindSafe(job::take(&context, taken, &job, trace));
                let is_finished = work.catch_unwind().await.unwrap_or_else(|_panic| {
                    // It would end so again, and what comes after it would never be committed.
                    context.drops.count(&job, DropReason::Panic);
                    true
                });
                if is_finished {
                    assignment.finish(ticket);
                }
            }),
            Err(dead) => jobs.spawn(async move {
                job::set_aside(&context, &dead).await;
                assignment.finish(ticket);
                drop(taken);
            }),
        };
    }
}

/// How long a message lay in the queue since it was first sent.
fn lain(message: &BorrowedMessage<'_>) -> Duration {
    let now_ms = Utc::now().timestamp_millis();
    let lain_ms = message.timestamp().to_millis().map_or(0, |sent_ms| now_ms - sent_ms);
    Duration::from_millis(u64::try_from(lain_ms).unwrap_or_default())
}
