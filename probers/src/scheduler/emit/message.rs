//! The messages of the scheduler, and waiting until Kafka has them.

use std::sync::Arc;
use std::time::Duration;

use pulsetrail_domain::timestamp_from_millis;
use pulsetrail_infra::kafka::{Kafka, message_headers, traced};
use pulsetrail_infra::messages::{DEADLINE_TYPE, DeadlineMessage, JOB_TYPE};
use pulsetrail_infra::trace::Traceparent;
use rdkafka::error::KafkaError;
use rdkafka::producer::DeliveryFuture;
use tokio::time::sleep;

use super::super::overdue::Silence;
use super::super::roster::{JobDraft, Turn};
use super::now_ms;
use crate::outbox::{Letter, Outbox, acknowledged};

/// How long a job that could not be sent waits before it is tried again, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long after its slot a turn is one of a backlog.
const HELD_UP_MS: i64 = 1_000;

/// What became of a job.
pub(super) enum Settled {
    Sent {
        region: String,
        slot_ms: i64,
    },
    /// A silence was told.
    Told,
    TooLate(KafkaError, i64),
    /// The producer is past use.
    Broken(KafkaError),
}

/// A job to be sent. What was held up here, because Kafka took no more, counts as written at its slot, as
/// if it had lain in the queue: probers work it off as calmly.
pub(super) fn letter(kafka: &Kafka, draft: JobDraft, turn: Turn, now_ms: i64) -> (Letter, String) {
    let JobDraft { monitor_id, organization_id, region, check_id, json } = draft;
    let time = timestamp_from_millis(now_ms);
    let was_held_up = now_ms - turn.slot_ms > HELD_UP_MS;
    let headers = message_headers(JOB_TYPE, &check_id.to_string(), time, organization_id);
    let letter = Letter {
        topic: kafka.topics.jobs(&region),
        key: monitor_id.to_string(),
        payload: json,
        headers: traced(headers, &Traceparent::of_check(check_id)),
        written_ms: if was_held_up { turn.slot_ms } else { now_ms },
    };
    (letter, region.into())
}

pub(super) fn deadline_letter(
    kafka: &Kafka,
    silence: Silence,
) -> Result<Letter, serde_json::Error> {
    let Silence { monitor_id, organization_id, at_ms } = silence;
    let at = timestamp_from_millis(at_ms);
    let message = DeadlineMessage { monitor_id, organization_id, at };
    let id = format!("{monitor_id}@{at_ms}");
    Ok(Letter {
        topic: kafka.topics.results(),
        key: monitor_id.to_string(),
        payload: serde_json::to_string(&message)?,
        headers: message_headers(DEADLINE_TYPE, &id, at, organization_id),
        written_ms: now_ms(),
    })
}

/// The times of a message that is sent, in ms.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) slot_ms: i64,
    /// After this it is not worth sending.
    pub(super) deadline_ms: i64,
}

/// Waits for a message to be acknowledged, and sends it again as long as it is worth making.
pub(super) async fn settle(
    outbox: Arc<Outbox>,
    letter: Letter,
    first: Result<DeliveryFuture, KafkaError>,
    times: Times,
    sent_as: impl FnOnce() -> Settled + Send + 'static,
) -> Settled {
    let mut sent = first;
    let mut pause = Duration::from_millis(100);
    loop {
        let ended = match sent {
            Ok(delivery) => acknowledged(delivery).await,
            Err(error) => Err(error),
        };
        let error = match ended {
            Ok(()) => return sent_as(),
            Err(error) => error,
        };
        if Outbox::is_fatal(&error) {
            return Settled::Broken(error);
        }
        sleep(pause).await;
        if now_ms() >= times.deadline_ms {
            return Settled::TooLate(error, times.slot_ms);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        sent = outbox.send(&letter);
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_infra::vitals::DropReason;

    use super::super::super::roster::tests::{START, monitor, registered, roster};
    use super::*;

    #[test]
    fn a_turn_that_was_held_up_counts_as_written_at_its_slot() {
        let mut roster = roster();
        roster.apply(monitor(1), 1, START, &registered(1, 60), START).unwrap();
        let turn = roster.take_turn(START, DropReason::SchedulerLate).unwrap();
        let written = |now_ms| {
            let draft = roster.jobs(turn).next().unwrap();
            letter(&Kafka::new("127.0.0.1:1", "test"), draft, turn, now_ms).0.written_ms
        };
        assert_eq!(written(START + 5), START + 5);
        assert_eq!(written(START + HELD_UP_MS), START + HELD_UP_MS);
        assert_eq!(written(START + 30_000), START);
    }
}
