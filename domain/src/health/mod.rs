//! The `health` aggregate: what the checks of one monitor say about it. Its id is the monitor's.

mod event;
mod heartbeat;
mod record;
mod region_votes;
mod silence;
mod timeliness;

use std::collections::{BTreeMap, VecDeque};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use event::HealthEvent;
pub use heartbeat::{HeartbeatPolicy, Report};
pub use region_votes::{REMEMBERED_SLOTS, RegionVotes};
pub use timeliness::{MAX_AGE, MAX_AHEAD, Timeliness};

use crate::check::{CheckResult, Outcome};
use crate::monitor::Monitor;
use crate::{CheckId, MonitorId, Region, Timestamp};

/// What a decision about a check depends on besides the checks: the monitor as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationPolicy {
    /// The monitor's version that this was taken from.
    pub monitor_version: i64,
    /// Failed checks in a row that make a region failing.
    pub confirmations: u32,
    /// The regions that vote.
    pub regions: Vec<Region>,
    /// Failing regions that make the monitor down.
    pub quorum: u32,
    /// Whether results change the status at all.
    pub paused: bool,
    /// Whether results are recorded at all.
    pub archived: bool,
    /// When reports are due, of a monitor that is a heartbeat.
    pub heartbeat: Option<HeartbeatPolicy>,
}

impl ObservationPolicy {
    /// The policy of a monitor; none of one that does not exist.
    #[must_use]
    pub fn of(monitor: &Monitor) -> Option<Self> {
        let config = monitor.config.as_ref()?;
        Some(Self {
            monitor_version: monitor.version,
            confirmations: config.confirmations,
            regions: config.regions.clone(),
            quorum: config.quorum(),
            paused: monitor.paused,
            archived: monitor.archived,
            heartbeat: HeartbeatPolicy::of(config),
        })
    }
}

/// What can be asked of a monitor's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCommand {
    /// Take in a check's result.
    RecordCheck {
        /// The result.
        result: Box<CheckResult>,
        /// The monitor as it is now.
        policy: ObservationPolicy,
        /// Whether the caller looked into the store and found no result of that check.
        known_to_be_new: bool,
    },
    /// Take note that nothing that counts at `at` was seen by then.
    NoteSilence {
        /// Of which monitor.
        monitor_id: MonitorId,
        /// The moment.
        at: Timestamp,
        /// The monitor as it is now.
        policy: ObservationPolicy,
    },
}

/// Why a command led to no event.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HealthError {
    /// It was recorded before: drop it.
    #[error("the check was recorded before")]
    Duplicate,
    /// It is older than what the state remembers: look into the store for its id, and ask again
    /// with `known_to_be_new`.
    #[error("the check is older than the remembered ones")]
    OlderThanRemembered,
    /// The monitor is archived: drop it.
    #[error("the monitor is archived")]
    Archived,
    /// Of a silence: results that count were seen since, it is known, or the monitor is paused.
    #[error("no observation was lost")]
    NothingLost,
}

/// What the checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Nothing is known yet.
    #[default]
    Pending,
    /// It answers as expected.
    Up,
    /// It does not.
    Down,
    /// Nothing any more: no result counts.
    Unknown,
}

impl HealthStatus {
    /// The status as the API names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// A monitor's health as its events tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How many events it has: its version.
    pub version: i64,
    /// What the checks say.
    pub status: HealthStatus,
    /// Since when; none while pending.
    pub status_since: Option<Timestamp>,
    /// Whether observation is paused.
    pub paused: bool,
    /// Each region's newest results. Boxed: the map has room for eleven, and mostly holds one.
    pub regions: BTreeMap<Region, Box<RegionVotes>>,
    /// The newest checks on demand that were recorded, by their ids and so by their time.
    pub on_demand: VecDeque<CheckId>,
    /// While the status is unknown: what it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_loss: Option<StatusSince>,
}

/// A status, and since when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusSince {
    /// The status.
    pub status: HealthStatus,
    /// Since when; none while pending.
    pub since: Option<Timestamp>,
}

impl Health {
    /// The aggregate type, as the store names it.
    pub const AGGREGATE: &'static str = "health";

    /// The version of [`Health::apply_event`]: raised whenever it makes another state of the same history.
    /// A snapshot of another version is ignored. `fold_tests` fails where the two do not go together.
    pub const FOLD_VERSION: i32 = 1;

    /// The state after one more event.
    pub fn apply_event(&mut self, event: &HealthEvent) {
        self.version += 1;
        match event {
            HealthEvent::CheckCompleted(result) => self.apply_check(result),
            HealthEvent::WentDown { since, .. } => {
                self.status = HealthStatus::Down;
                self.status_since = Some(*since);
            }
            HealthEvent::Recovered { since, down_for_ms, .. } => {
                self.status = HealthStatus::Up;
                self.status_since = Some(*since + chrono::Duration::milliseconds(*down_for_ms));
            }
            HealthEvent::ObservationPaused { .. } => self.paused = true,
            HealthEvent::ObservationResumed { .. } => {
                self.paused = false;
                self.status = HealthStatus::Pending;
                self.status_since = None;
                self.before_loss = None;
                for votes in self.regions.values_mut() {
                    votes.forget_votes();
                }
            }
            HealthEvent::ObservationLost { since } => {
                self.before_loss =
                    Some(StatusSince { status: self.status, since: self.status_since });
                self.status = HealthStatus::Unknown;
                self.status_since = Some(*since);
            }
            HealthEvent::ObservationRegained { since, lost_for_ms, status, .. } => {
                let before = self.before_loss.take();
                self.status = *status;
                self.status_since = match status {
                    // An outage goes on; its end tells how long it was.
                    HealthStatus::Down => before.and_then(|before| before.since),
                    HealthStatus::Up => Some(*since + chrono::Duration::milliseconds(*lost_for_ms)),
                    HealthStatus::Pending | HealthStatus::Unknown => None,
                };
            }
        }
    }

    fn apply_check(&mut self, result: &CheckResult) {
        let votes = self.regions.entry(result.region.clone()).or_default();
        if result.is_on_demand() {
            // The ids carry their time. The newest stay, in whatever order they were recorded.
            if let Err(place) = self.on_demand.binary_search(&result.check_id) {
                self.on_demand.insert(place, result.check_id);
            }
            if self.on_demand.len() > REMEMBERED_SLOTS {
                self.on_demand.pop_front();
            }
        } else {
            votes.remember(result.slot_ms());
        }
        if self.paused {
            return;
        }
        let counted = votes.count(result);
        if counted && result.outcome == Outcome::Up && self.status == HealthStatus::Pending {
            self.status = HealthStatus::Up;
            self.status_since = Some(result.scheduled_at);
        }
    }

    /// The events that a command leads to, at least one.
    ///
    /// # Errors
    /// Why it leads to none; see [`HealthError`].
    pub fn decide(&self, command: &HealthCommand) -> Result<Vec<HealthEvent>, HealthError> {
        match command {
            HealthCommand::RecordCheck { result, policy, known_to_be_new } => {
                record::decide(self, result, policy, *known_to_be_new)
            }
            HealthCommand::NoteSilence { monitor_id, at, policy } => {
                silence::decide(self, *monitor_id, *at, policy)
            }
        }
    }
}

impl Aggregate for Health {
    const TYPE: &'static str = Self::AGGREGATE;
    type Command = HealthCommand;
    type Event = HealthEvent;
    type Error = HealthError;
    type Services = ();

    async fn handle(
        &mut self,
        command: Self::Command,
        (): &Self::Services,
        sink: &EventSink<Self>,
    ) -> Result<(), Self::Error> {
        for event in self.decide(&command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.apply_event(&event);
    }
}

#[cfg(test)]
mod fold_tests;
