//! The judge of a log: what stands in it must be what one recorder alone would have decided, one result
//! after the other, in the order of the log.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::TryStreamExt as _;
use pulsetrail_domain::check::{CheckResult, FailureCause};
use pulsetrail_domain::health::{Health, HealthCommand, HealthEvent, ObservationPolicy};
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{CheckId, MonitorId, Position, Timestamp};
use pulsetrail_infra::store::{Event, Replay, Store};

/// Something in a log that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A result that was acknowledged is not in the log.
    Lost(CheckId),
    /// A check stands in the log more than once.
    Twice(CheckId),
    /// One recorder alone would not have stored this event here.
    NotDecided(Position),
    /// One recorder alone would have stored another event before this one, or before the log's end.
    Missing(Position),
    /// A monitor went down although its pause was acknowledged before.
    DownWhilePaused(Position),
    /// An aggregate's sequence does not follow the one before.
    OutOfSequence(Position),
}

/// Reads the whole log and returns its faults; `sent` are the checks that must be in it.
pub(crate) async fn faults(store: &Store, sent: &HashSet<CheckId>) -> Vec<Fault> {
    let mut judge = Judge::default();
    let mut log = Replay::after(&store.read, Position::START);
    while let Some(event) = log.try_next().await.unwrap() {
        judge.see(&event);
    }
    judge.verdict(sent)
}

#[derive(Default)]
struct Judge {
    monitors: HashMap<MonitorId, Watched>,
    sequences: HashMap<(String, String), i64>,
    checks: HashSet<CheckId>,
    faults: Vec<Fault>,
}

/// A monitor as the log has it so far.
#[derive(Default)]
struct Watched {
    id: MonitorId,
    monitor: Monitor,
    health: Health,
    /// What comes before the check that a decision is about.
    prelude: Vec<HealthEvent>,
    /// What the last decision goes on with.
    due: VecDeque<HealthEvent>,
    last: Position,
}

impl Judge {
    fn see(&mut self, event: &Event) {
        let aggregate = (event.aggregate_type.clone(), event.aggregate_id.clone());
        let sequence = self.sequences.entry(aggregate).or_default();
        if event.sequence != *sequence + 1 {
            self.faults.push(Fault::OutOfSequence(event.position));
        }
        *sequence = event.sequence;
        let Some(id) = event.monitor_id() else { return };
        let watched = self.monitors.entry(id).or_default();
        watched.id = id;
        if event.aggregate_type == Monitor::AGGREGATE {
            watched.monitor.apply_event(event.monitor_event().unwrap());
            return;
        }
        let health_event = event.health_event().unwrap();
        if let HealthEvent::CheckCompleted(result) = &health_event
            && !self.checks.insert(result.check_id)
        {
            self.faults.push(Fault::Twice(result.check_id));
        }
        self.faults.extend(watched.see(event.position, health_event));
    }

    fn verdict(mut self, sent: &HashSet<CheckId>) -> Vec<Fault> {
        let unfinished =
            |watched: &&Watched| !(watched.due.is_empty() && watched.prelude.is_empty());
        let unfinished = self.monitors.values().filter(unfinished);
        self.faults.extend(unfinished.map(|watched| Fault::Missing(watched.last)));
        self.faults.extend(sent.difference(&self.checks).copied().map(Fault::Lost));
        self.faults
    }
}

impl Watched {
    fn see(&mut self, position: Position, event: HealthEvent) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.last = position;
        if matches!(event, HealthEvent::WentDown { .. }) && self.monitor.paused {
            faults.push(Fault::DownWhilePaused(position));
        }
        if self.due.front() == Some(&event) {
            self.due.pop_front();
            self.health.apply_event(&event);
            return faults;
        }
        if !self.due.is_empty() {
            faults.push(Fault::Missing(position));
            self.due.clear();
        }
        match event {
            HealthEvent::ObservationPaused { .. }
            | HealthEvent::ObservationResumed { .. }
            | HealthEvent::ObservationRegained { .. } => self.prelude.push(event),
            // Whether a message told it or the next result, it leads to the same.
            HealthEvent::ObservationLost { since } => {
                if self.silence_at(since) != [HealthEvent::ObservationLost { since }] {
                    faults.push(Fault::NotDecided(position));
                }
                self.health.apply_event(&event);
            }
            HealthEvent::CheckCompleted(result) => {
                let missed = FailureCause::HeartbeatMissed;
                let expected = match &result.failure {
                    // No result came: what failed is that there was none.
                    Some(failure) if failure.cause == missed => {
                        self.silence_at(result.scheduled_at)
                    }
                    _ => self.decide(&result),
                };
                let stored: Vec<HealthEvent> =
                    self.prelude.drain(..).chain([HealthEvent::CheckCompleted(result)]).collect();
                if expected.starts_with(&stored) {
                    self.due = expected[stored.len()..].iter().cloned().collect();
                } else {
                    faults.push(Fault::NotDecided(position));
                }
                for event in &stored {
                    self.health.apply_event(event);
                }
            }
            event => {
                faults.push(Fault::NotDecided(position));
                self.health.apply_event(&event);
            }
        }
        faults
    }

    /// What one recorder alone decides about a silence.
    fn silence_at(&self, at: Timestamp) -> Vec<HealthEvent> {
        let Some(policy) = ObservationPolicy::of(&self.monitor) else { return Vec::new() };
        self.health
            .decide(&HealthCommand::NoteSilence { monitor_id: self.id, at, policy })
            .unwrap_or_default()
    }

    /// What one recorder alone decides about a result here; nothing where it drops it.
    fn decide(&self, result: &CheckResult) -> Vec<HealthEvent> {
        let Some(policy) = ObservationPolicy::of(&self.monitor) else { return Vec::new() };
        let command = HealthCommand::RecordCheck {
            result: Box::new(result.clone()),
            policy,
            // That nothing is recorded twice is judged apart.
            known_to_be_new: true,
        };
        self.health.decide(&command).unwrap_or_default()
    }
}
