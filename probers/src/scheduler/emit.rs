//! Emitting what is due, when it is due: jobs, and word of monitors that fell silent.

mod message;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use pulsetrail_domain::Position;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::metrics;
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::store::{Event, SchedulerProgress};
use pulsetrail_infra::vitals::DropReason;
use rdkafka::error::KafkaError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::message::{Settled, Times, deadline_letter, letter, settle};
use super::overdue::Clock;
use super::roster::{Roster, Turn};
use super::secrets::Batch;
use crate::outbox::Outbox;

/// Jobs that are not acknowledged yet, at most. With so many, Kafka is away or far behind, and
/// emission pauses: what gets too late meanwhile is dropped. Each is in memory twice, here and in
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
/// How often a disturbance is logged.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Emits jobs.
pub(super) struct Emitter {
    roster: Roster,
    kafka: Kafka,
    outbox: Arc<Outbox>,
    unacknowledged: FuturesUnordered<BoxFuture<'static, Settled>>,
    /// How many of them tell of a silence.
    telling: usize,
    /// How many jobs of each slot, in ms, are not acknowledged.
    pending_slots: BTreeMap<i64, usize>,
    /// Whether turns wait since Kafka took no more jobs.
    is_held_up: bool,
    /// The log up to there is in the roster.
    position: Position,
    progress: watch::Sender<Option<SchedulerProgress>>,
    clock: Clock,
    warned_at: Option<Instant>,
}

fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

impl Emitter {
    /// # Errors
    /// When librdkafka refuses a setting.
    pub(super) fn new(
        roster: Roster,
        kafka: &Kafka,
        position: Position,
        progress: watch::Sender<Option<SchedulerProgress>>,
    ) -> Result<Self, KafkaError> {
        Ok(Self {
            roster,
            kafka: kafka.clone(),
            // A new producer with each lease: a fatal error of the old one does not outlive it.
            outbox: Arc::new(Outbox::new(kafka, Kafka::producer)?),
            unacknowledged: FuturesUnordered::new(),
            telling: 0,
            pending_slots: BTreeMap::new(),
            is_held_up: false,
            position,
            progress,
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
            self.roster.drops.log(false);
            self.note_progress();
            let full = self.unacknowledged.len() >= UNACKNOWLEDGED;
            let wait = self.until_next();
            tokio::select! {
                () = lost.cancelled() => break,
                Some(settled) = self.unacknowledged.next() => self.settle(settled)?,
                Some(batch) = events.recv() => self.take_in(batch),
                () = sleep(wait), if !full => {}
            }
        }
        let rest = async {
            while let Some(settled) = self.unacknowledged.next().await {
                self.settle(settled)?;
            }
            Ok(())
        };
        // What is not acknowledged by then is emitted again by the scheduler that comes after.
        let drained = timeout(DRAIN, rest).await.unwrap_or(Ok(()));
        self.note_progress();
        self.roster.drops.log(true);
        metrics::roster(0);
        drained
    }

    /// Says through when every slot was emitted or dropped.
    fn note_progress(&self) {
        let due_ms = self.roster.next_due_ms().unwrap_or(i64::MAX);
        let pending_ms = self.pending_slots.keys().next().copied().unwrap_or(i64::MAX);
        let through_ms = now_ms().min(due_ms.min(pending_ms) - 1);
        self.progress.send_replace(Some(SchedulerProgress { through_ms, position: self.position }));
    }

    fn until_next(&self) -> Duration {
        let silence_ms = self.roster.next_silence_ms().filter(|_| self.telling < TELLING);
        let next_ms = self.roster.next_due_ms().into_iter().chain(silence_ms).min();
        let Some(due_ms) = next_ms else { return LONGEST_SLEEP };
        let wait = u64::try_from(due_ms.saturating_sub(now_ms())).unwrap_or_default();
        Duration::from_millis(wait).min(LONGEST_SLEEP)
    }

    fn take_in(&mut self, Batch { events, position, sealed }: Batch) {
        self.roster.lay_out(sealed);
        for event in &events {
            let reason = self.drop_reason();
            if let Some(turn) = turn_before(&mut self.roster, event, now_ms(), reason) {
                self.emit(turn);
            }
            super::apply(&mut self.roster, event, now_ms());
        }
        self.roster.lay_out(SealedSecrets::default());
        self.position = self.position.max(position);
        metrics::roster(self.roster.active());
    }

    /// Why a turn that is too late now is.
    fn drop_reason(&self) -> DropReason {
        if self.is_held_up { DropReason::Kafka } else { DropReason::SchedulerLate }
    }

    fn emit_due(&mut self) {
        for _ in 0..BURST {
            if self.unacknowledged.len() >= UNACKNOWLEDGED {
                self.is_held_up = true;
                return;
            }
            let Some(turn) = self.roster.take_turn(now_ms(), self.drop_reason()) else {
                self.is_held_up = false;
                return;
            };
            self.emit(turn);
        }
    }

    fn emit(&mut self, turn: Turn) {
        let slot_ms = turn.slot_ms;
        for draft in self.roster.jobs(turn) {
            let (letter, region) = letter(&self.kafka, draft, turn, now_ms());
            let first = self.outbox.send(&letter);
            let outbox = Arc::clone(&self.outbox);
            let sent = move || Settled::Sent { region, slot_ms };
            let times = Times { slot_ms, deadline_ms: turn.deadline_ms };
            let settled = settle(outbox, letter, first, times, sent);
            self.unacknowledged.push(settled.boxed());
            *self.pending_slots.entry(slot_ms).or_default() += 1;
        }
    }

    /// A job of a slot is not waited for any more.
    fn is_settled(&mut self, slot_ms: i64) {
        if let Some(jobs) = self.pending_slots.get_mut(&slot_ms) {
            *jobs -= 1;
            if *jobs == 0 {
                self.pending_slots.remove(&slot_ms);
            }
        }
    }

    fn tell_silences(&mut self) {
        for _ in 0..BURST {
            if self.telling >= TELLING || self.unacknowledged.len() >= UNACKNOWLEDGED {
                return;
            }
            let Some(silence) = self.roster.take_silence(now_ms()) else { return };
            let slot_ms = silence.at_ms;
            let Ok(letter) = deadline_letter(&self.kafka, silence) else { continue };
            let first = self.outbox.send(&letter);
            let outbox = Arc::clone(&self.outbox);
            // It stays true, and changes nothing when it is not any more: there is no haste.
            let times = Times { slot_ms, deadline_ms: i64::MAX };
            let settled = settle(outbox, letter, first, times, || Settled::Told);
            self.telling += 1;
            self.unacknowledged.push(settled.boxed());
        }
    }

    fn settle(&mut self, first: Settled) -> Result<(), KafkaError> {
        let mut next = Some(first);
        while let Some(settled) = next {
            match settled {
                Settled::Sent { region, slot_ms } => {
                    self.is_settled(slot_ms);
                    metrics::job_emitted(&region);
                }
                Settled::Told => {
                    self.telling -= 1;
                    metrics::deadline_told();
                }
                Settled::TooLate(error, slot_ms) => {
                    self.is_settled(slot_ms);
                    self.roster.drops.count(DropReason::Kafka, 1);
                    self.warn(&error);
                }
                Settled::Broken(error) => return Err(error),
            }
            next = self.unacknowledged.next().now_or_never().flatten();
        }
        Ok(())
    }

    fn warn(&mut self, error: &KafkaError) {
        if self.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            self.warned_at = Some(Instant::now());
            let waiting = self.unacknowledged.len();
            tracing::warn!(jobs.waiting = waiting, %error, "jobs could not be emitted in time");
        }
    }
}

/// The turn that a monitor had before an event paused, resumed or archived it, if it was not taken yet. A turn that
/// came before another configuration stays due, and is emitted with that one: the secrets of the former
/// configuration may be kept no more.
fn turn_before(
    roster: &mut Roster,
    event: &Event,
    now_ms: i64,
    reason: DropReason,
) -> Option<Turn> {
    if event.aggregate_type != Monitor::AGGREGATE || event.event_type == "MonitorReconfigured" {
        return None;
    }
    let changed_ms = event.recorded_at.timestamp_millis();
    roster.take_turn_before((event.monitor_id()?, changed_ms), now_ms, reason)
}

#[cfg(test)]
mod tests;
