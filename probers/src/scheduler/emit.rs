//! Emitting what is due, when it is due: jobs, and word of monitors that fell silent.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use pulsetrail_domain::timestamp_from_millis;
use pulsetrail_infra::kafka::{Kafka, message_headers, traced};
use pulsetrail_infra::messages::{DEADLINE_TYPE, DeadlineMessage, JOB_TYPE};
use pulsetrail_infra::metrics;
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::trace::Traceparent;
use rdkafka::error::KafkaError;
use rdkafka::producer::DeliveryFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::overdue::{Clock, Silence};
use super::roster::{JobDraft, Roster, Turn};
use super::secrets::Batch;
use crate::outbox::{Letter, Outbox, acknowledged};

/// Jobs that are not acknowledged yet, at most. With so many, Kafka is away or far behind, and
/// emission pauses: what gets too late meanwhile is skipped. Each is in memory twice, here and in
/// librdkafka's queue, some 3 KB in all.
const UNACKNOWLEDGED: usize = 10_000;
/// Silences that are told and not acknowledged yet, at most: however many monitors fall silent at once,
/// jobs come first.
const TELLING: usize = 1_000;
/// How many turns are taken before anything else is looked at.
const BURST: usize = 500;
/// The longest sleep: a clock that jumps is noticed within it.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long the last jobs are waited for when the scheduler stops.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a job that could not be sent waits before it is tried again, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long after its slot a turn is one of a backlog.
const HELD_UP_MS: i64 = 1_000;
/// How often a disturbance is logged.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What became of a job.
enum Settled {
    Sent {
        region: String,
    },
    /// A silence was told.
    Told,
    TooLate(KafkaError),
    /// The producer is past use.
    Broken(KafkaError),
}

/// Emits jobs.
pub(super) struct Emitter {
    roster: Roster,
    kafka: Kafka,
    outbox: Arc<Outbox>,
    unacknowledged: FuturesUnordered<BoxFuture<'static, Settled>>,
    /// How many of them tell of a silence.
    telling: usize,
    clock: Clock,
    warned_at: Option<Instant>,
}

fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

impl Emitter {
    /// # Errors
    /// When librdkafka refuses a setting.
    pub(super) fn new(roster: Roster, kafka: &Kafka) -> Result<Self, KafkaError> {
        Ok(Self {
            roster,
            kafka: kafka.clone(),
            // A new producer with each lease: a fatal error of the old one does not outlive it.
            outbox: Arc::new(Outbox::new(kafka, Kafka::producer)?),
            unacknowledged: FuturesUnordered::new(),
            telling: 0,
            clock: Clock::at(now_ms(), Instant::now()),
            warned_at: None,
        })
    }

    /// Emits until `lost`, taking in what `events` brings.
    ///
    /// # Errors
    /// When the producer is past use.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<Batch>,
        lost: &CancellationToken,
    ) -> Result<(), KafkaError> {
        metrics::roster(self.roster.active());
        loop {
            if let Some(jump) = self.clock.jumped(now_ms(), Instant::now()) {
                let by_ms = jump.now_ms - jump.expected_ms;
                tracing::warn!(by_ms, "the clock has jumped; turns and silences are judged anew");
                self.roster.clock_jumped(jump);
            }
            self.emit_due();
            self.tell_silences();
            let full = self.unacknowledged.len() >= UNACKNOWLEDGED;
            let wait = self.until_next();
            tokio::select! {
                () = lost.cancelled() => break,
                Some(settled) = self.unacknowledged.next() => self.settle(settled)?,
                Some(batch) = events.recv() => self.take_in(batch),
                () = sleep(wait), if !full => {}
            }
        }
        let rest = async { while self.unacknowledged.next().await.is_some() {} };
        // Whoever comes after makes the jobs of later slots; these were due before.
        let _ = timeout(DRAIN, rest).await;
        metrics::roster(0);
        Ok(())
    }

    fn until_next(&self) -> Duration {
        let silence_ms = self.roster.next_silence_ms().filter(|_| self.telling < TELLING);
        let next_ms = self.roster.next_due_ms().into_iter().chain(silence_ms).min();
        let Some(due_ms) = next_ms else { return LONGEST_SLEEP };
        let wait = u64::try_from(due_ms.saturating_sub(now_ms())).unwrap_or_default();
        Duration::from_millis(wait).min(LONGEST_SLEEP)
    }

    fn take_in(&mut self, Batch { events, sealed }: Batch) {
        self.roster.lay_out(sealed);
        for event in &events {
            super::apply(&mut self.roster, event, now_ms());
        }
        self.roster.lay_out(SealedSecrets::default());
        metrics::roster(self.roster.active());
    }

    fn emit_due(&mut self) {
        for _ in 0..BURST {
            if self.unacknowledged.len() >= UNACKNOWLEDGED {
                return;
            }
            let Some(turn) = self.roster.take_turn(now_ms()) else { return };
            for draft in self.roster.jobs(turn) {
                let (letter, region) = letter(&self.kafka, draft, turn, now_ms());
                let first = self.outbox.send(&letter);
                let outbox = Arc::clone(&self.outbox);
                let sent = || Settled::Sent { region };
                let settled = settle(outbox, letter, first, turn.deadline_ms, sent);
                self.unacknowledged.push(settled.boxed());
            }
        }
    }

    fn tell_silences(&mut self) {
        for _ in 0..BURST {
            if self.telling >= TELLING || self.unacknowledged.len() >= UNACKNOWLEDGED {
                return;
            }
            let Some(silence) = self.roster.take_silence(now_ms()) else { return };
            let Ok(letter) = deadline_letter(&self.kafka, silence) else { continue };
            let first = self.outbox.send(&letter);
            let outbox = Arc::clone(&self.outbox);
            // It stays true, and changes nothing when it is not any more: there is no haste.
            let settled = settle(outbox, letter, first, i64::MAX, || Settled::Told);
            self.telling += 1;
            self.unacknowledged.push(settled.boxed());
        }
    }

    fn settle(&mut self, first: Settled) -> Result<(), KafkaError> {
        let mut next = Some(first);
        while let Some(settled) = next {
            match settled {
                Settled::Sent { region } => metrics::job_emitted(&region),
                Settled::Told => {
                    self.telling -= 1;
                    metrics::deadline_told();
                }
                Settled::TooLate(error) => self.warn(&error),
                Settled::Broken(error) => return Err(error),
            }
            next = self.unacknowledged.next().now_or_never().flatten();
        }
        Ok(())
    }

    fn warn(&mut self, error: &KafkaError) {
        metrics::job_dropped("deadline");
        if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned_at = Some(Instant::now());
            let waiting = self.unacknowledged.len();
            tracing::warn!(jobs.waiting = waiting, %error, "jobs could not be emitted in time");
        }
    }
}

/// A job to be sent. What was held up here, because Kafka took no more, counts as written at its slot, as
/// if it had lain in the queue: probers work it off as calmly.
fn letter(kafka: &Kafka, draft: JobDraft, turn: Turn, now_ms: i64) -> (Letter, String) {
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

fn deadline_letter(kafka: &Kafka, silence: Silence) -> Result<Letter, serde_json::Error> {
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

/// Waits for a message to be acknowledged, and sends it again as long as it is worth making.
async fn settle(
    outbox: Arc<Outbox>,
    letter: Letter,
    first: Result<DeliveryFuture, KafkaError>,
    deadline_ms: i64,
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
        if now_ms() >= deadline_ms {
            return Settled::TooLate(error);
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
        sent = outbox.send(&letter);
    }
}

#[cfg(test)]
mod tests {
    use super::super::roster::tests::{START, monitor, registered, roster};
    use super::*;

    #[test]
    fn a_turn_that_was_held_up_counts_as_written_at_its_slot() {
        let mut roster = roster();
        roster.apply(monitor(1), 1, START, &registered(1, 60), START).unwrap();
        let turn = roster.take_turn(START).unwrap();
        let written = |now_ms| {
            let draft = roster.jobs(turn).next().unwrap();
            letter(&Kafka::new("127.0.0.1:1", "test"), draft, turn, now_ms).0.written_ms
        };
        assert_eq!(written(START + 5), START + 5);
        assert_eq!(written(START + HELD_UP_MS), START + HELD_UP_MS);
        assert_eq!(written(START + 30_000), START);
    }
}
