//! What is known of one monitor as its events come in, and which of them change it.
//!
//! The rule is that of the `health` aggregate, reduced to what a status needs. It is kept here because
//! two changes have no event of their own: the first success of a pending monitor, and the first
//! result after a resume. Everything follows from the log alone, in position order.

use std::collections::BTreeMap;

use pulsetrail_domain::check::{CheckResult, Failure, Outcome};
use pulsetrail_domain::health::{HealthEvent, HealthStatus};
use pulsetrail_domain::monitor::MonitorEvent;
use pulsetrail_domain::{CheckId, Timestamp};

use crate::analytics::{Status, TransitionKind};

/// A monitor between two events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// What is known of it.
    pub(crate) status: Status,
    /// What its checks say, which goes on while nothing is counted.
    pub(crate) health: HealthStatus,
    /// No later change reaches back before this: a pause, a resume and a recovery are final.
    pub(crate) settled_at: Timestamp,
    /// While pending: the newest result of each region that was counted.
    pub(crate) votes: BTreeMap<String, Timestamp>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// What it is.
    pub(crate) kind: TransitionKind,
    /// From when on the monitor has its new status.
    pub(crate) at: Timestamp,
    /// The check that showed it.
    pub(crate) check_id: Option<CheckId>,
    /// What failed.
    pub(crate) cause: Option<Failure>,
}

impl Change {
    fn new(kind: TransitionKind, at: Timestamp) -> Self {
        Self { kind, at, check_id: None, cause: None }
    }

    fn shown_by(self, check_id: CheckId, cause: Option<&Failure>) -> Self {
        Self { check_id: Some(check_id), cause: cause.cloned(), ..self }
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            status: Status::Pending,
            health: HealthStatus::Pending,
            settled_at: Timestamp::UNIX_EPOCH,
            votes: BTreeMap::new(),
        }
    }
}

impl Timeline {
    /// Takes in an event of the monitor itself.
    pub(crate) fn monitor(
        &mut self,
        event: &MonitorEvent,
        recorded_at: Timestamp,
    ) -> Option<Change> {
        let (kind, status) = match event {
            MonitorEvent::MonitorRegistered { .. } => (TransitionKind::Registered, Status::Pending),
            MonitorEvent::MonitorReconfigured { .. } => return None,
            MonitorEvent::MonitorPaused {} => (TransitionKind::Paused, Status::Paused),
            MonitorEvent::MonitorResumed {} => (TransitionKind::Resumed, Status::Pending),
            MonitorEvent::MonitorArchived {} => (TransitionKind::Archived, Status::Archived),
        };
        self.status = status;
        self.settled_at = self.settled_at.max(recorded_at);
        self.votes.clear();
        Some(Change::new(kind, self.settled_at))
    }

    /// Takes in an event of its health.
    pub(crate) fn health(&mut self, event: &HealthEvent) -> Option<Change> {
        match event {
            HealthEvent::CheckCompleted(result) => self.check(result),
            HealthEvent::WentDown { since, cause, check_id } => {
                self.health = HealthStatus::Down;
                let at = (*since).max(self.settled_at);
                self.show(Status::Down);
                let change = Change::new(TransitionKind::WentDown, at);
                Some(change.shown_by(*check_id, Some(cause)))
            }
            HealthEvent::Recovered { since, down_for_ms, check_id } => {
                self.health = HealthStatus::Up;
                let recovered_at = *since + chrono::Duration::milliseconds(*down_for_ms);
                self.settled_at = self.settled_at.max(recovered_at);
                self.show(Status::Up);
                let change = Change::new(TransitionKind::Recovered, self.settled_at);
                Some(change.shown_by(*check_id, None))
            }
            HealthEvent::ObservationPaused { .. } => None,
            HealthEvent::ObservationResumed { .. } => {
                self.health = HealthStatus::Pending;
                if self.status == Status::Unknown {
                    self.status = Status::Pending;
                }
                self.votes.clear();
                Some(Change::new(TransitionKind::ObservationResumed, self.settled_at))
            }
            HealthEvent::ObservationLost { since } => {
                self.health = HealthStatus::Unknown;
                self.settled_at = self.settled_at.max(*since);
                self.show(Status::Unknown);
                Some(Change::new(TransitionKind::ObservationLost, self.settled_at))
            }
            HealthEvent::ObservationRegained { since, lost_for_ms, status, check_id } => {
                self.health = *status;
                let regained_at = *since + chrono::Duration::milliseconds(*lost_for_ms);
                self.settled_at = self.settled_at.max(regained_at);
                self.show(shown(*status));
                let change = Change::new(TransitionKind::ObservationRegained, self.settled_at);
                Some(change.shown_by(*check_id, None))
            }
        }
    }

    /// The first result that counts tells the status of a pending monitor.
    fn check(&mut self, result: &CheckResult) -> Option<Change> {
        if self.status != Status::Pending || !self.counts(result) {
            return None;
        }
        let status = match (self.health, result.outcome) {
            (HealthStatus::Pending, Outcome::Up) => {
                self.health = HealthStatus::Up;
                Status::Up
            }
            // Not enough of them to be down: WentDown says when they are.
            (HealthStatus::Pending, _) => return None,
            // A pause that ended before a result met it: the checks say what they said before.
            (known, _) => shown(known),
        };
        self.show(status);
        let at = result.scheduled_at.max(self.settled_at);
        let change = Change::new(TransitionKind::Observed, at);
        Some(change.shown_by(result.check_id, result.failure.as_ref()))
    }

    fn counts(&mut self, result: &CheckResult) -> bool {
        if result.outcome == Outcome::Blocked {
            return false;
        }
        let vote = self.votes.entry(result.region.to_string()).or_insert(Timestamp::MIN_UTC);
        let newest = *vote < result.scheduled_at;
        *vote = result.scheduled_at.max(*vote);
        newest
    }

    /// What the checks say shows only while they are looked at.
    fn show(&mut self, status: Status) {
        if !matches!(self.status, Status::Paused | Status::Archived) {
            self.status = status;
            self.votes.clear();
        }
    }
}

/// What is shown of a monitor whose checks say this.
fn shown(health: HealthStatus) -> Status {
    match health {
        HealthStatus::Pending => Status::Pending,
        HealthStatus::Up => Status::Up,
        HealthStatus::Down => Status::Down,
        HealthStatus::Unknown => Status::Unknown,
    }
}

#[cfg(test)]
mod tests;
