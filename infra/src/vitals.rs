//! What this process has done, as numbers that it announces to the others. `/metrics` has more of them,
//! but who asks `/api/v1/system` asks about all processes together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of a process.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Monitors that are being scheduled.
    MonitorsScheduled,
    /// Jobs that the scheduler emitted.
    JobsEmitted,
    /// Jobs that were not made: their deadline had passed, or they could not be read.
    JobsDropped,
    /// Checks under way.
    JobsInFlight,
    /// Checks that were made.
    ChecksMade,
    /// Checks that needed more than one attempt.
    ChecksRetried,
    /// Results that were recorded.
    ResultsRecorded,
    /// Jobs that were made twice: their second result was recorded before.
    DuplicateJobs,
    /// Events that were published.
    EventsPublished,
    /// Connections to the live feed.
    LiveConnections,
}

/// Why a slot ended without a check.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// No scheduler was active until it was too late.
    SchedulerAway,
    /// The active scheduler was held up, or learned of the monitor, until it was too late.
    SchedulerLate,
    /// The clock jumped over it.
    ClockJump,
    /// Kafka did not take the job until it was too late.
    Kafka,
    /// The installation has no such region any more.
    UnknownRegion,
}

/// Every reason.
const DROP_REASONS: [DropReason; 5] = [
    DropReason::SchedulerAway,
    DropReason::SchedulerLate,
    DropReason::ClockJump,
    DropReason::Kafka,
    DropReason::UnknownRegion,
];

impl DropReason {
    /// Its name, as it is written in JSON and in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SchedulerAway => "scheduler_away",
            Self::SchedulerLate => "scheduler_late",
            Self::ClockJump => "clock_jump",
            Self::Kafka => "kafka",
            Self::UnknownRegion => "unknown_region",
        }
    }
}

/// A part of a job's life.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From its slot until a prober began.
    Queued,
    /// The check itself.
    Probing,
    /// From the end of the check until a recorder had the result.
    Result,
    /// From there until it was committed.
    Stored,
    /// From the commit until Kafka had the event.
    Published,
    /// From the commit until the live feed handed it to its connections.
    Pushed,
}

impl Stage {
    /// Its name, as it is written in JSON and in labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Probing => "probing",
            Self::Result => "result",
            Self::Stored => "stored",
            Self::Published => "published",
            Self::Pushed => "pushed",
        }
    }
}

const FIGURES: [Figure; 10] = [
    Figure::MonitorsScheduled,
    Figure::JobsEmitted,
    Figure::JobsDropped,
    Figure::JobsInFlight,
    Figure::ChecksMade,
    Figure::ChecksRetried,
    Figure::ResultsRecorded,
    Figure::DuplicateJobs,
    Figure::EventsPublished,
    Figure::LiveConnections,
];
/// Every stage, in the order in which a job goes through them.
pub const STAGES: [Stage; 6] =
    [Stage::Queued, Stage::Probing, Stage::Result, Stage::Stored, Stage::Published, Stage::Pushed];

static VALUES: [AtomicI64; FIGURES.len()] = [const { AtomicI64::new(0) }; FIGURES.len()];
static DROPS: [AtomicI64; DROP_REASONS.len()] = [const { AtomicI64::new(0) }; DROP_REASONS.len()];
static STAGE_MICROSECONDS: [AtomicI64; STAGES.len()] = [const { AtomicI64::new(0) }; STAGES.len()];
static STAGE_JOBS: [AtomicI64; STAGES.len()] = [const { AtomicI64::new(0) }; STAGES.len()];

/// Adds to a number.
pub fn add(figure: Figure, count: usize) {
    VALUES[figure as usize].fetch_add(count as i64, Ordering::Relaxed);
}

/// Sets a number.
pub fn set(figure: Figure, value: usize) {
    VALUES[figure as usize].store(value as i64, Ordering::Relaxed);
}

/// Slots ended without a check.
pub(crate) fn dropped(reason: DropReason, slots: u64) {
    DROPS[reason as usize].fetch_add(slots.cast_signed(), Ordering::Relaxed);
}

/// How many slots of this process ended without a check since it began, by reason, where there were any.
#[must_use]
pub fn drops() -> BTreeMap<DropReason, i64> {
    let values = DROP_REASONS.iter().zip(&DROPS);
    let values = values.map(|(reason, value)| (*reason, value.load(Ordering::Relaxed)));
    values.filter(|(_, value)| *value != 0).collect()
}

/// Jobs went through a stage, and took so long for it in all, in microseconds. Where clocks disagree it
/// can be less than nothing, which counts as nothing.
pub(crate) fn passed(stage: Stage, jobs: usize, microseconds: i64) {
    STAGE_MICROSECONDS[stage as usize].fetch_add(microseconds.max(0), Ordering::Relaxed);
    STAGE_JOBS[stage as usize].fetch_add(jobs as i64, Ordering::Relaxed);
}

/// How long jobs took for a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageSum {
    /// How many jobs.
    pub jobs: i64,
    /// All of them together, in microseconds.
    pub microseconds: i64,
}

/// The numbers of a process that are not 0, since it began.
#[must_use]
pub fn figures() -> BTreeMap<Figure, i64> {
    let values = FIGURES.iter().zip(&VALUES);
    let values = values.map(|(figure, value)| (*figure, value.load(Ordering::Relaxed)));
    values.filter(|(_, value)| *value != 0).collect()
}

/// The stages of a process over the last while.
#[derive(Debug)]
pub struct StageWindow {
    seen: VecDeque<[StageSum; STAGES.len()]>,
    looks: usize,
}

impl StageWindow {
    /// Over the last `looks` looks.
    #[must_use]
    pub fn of(looks: usize) -> Self {
        Self { seen: VecDeque::from([now()]), looks }
    }

    /// What happened since that many looks ago, for each stage that was gone through.
    pub fn look(&mut self) -> BTreeMap<Stage, StageSum> {
        let newest = now();
        let oldest = self.seen.front().copied().unwrap_or_default();
        self.seen.push_back(newest);
        if self.seen.len() > self.looks {
            self.seen.pop_front();
        }
        let since = STAGES.iter().zip(newest).zip(oldest).map(|((stage, new), old)| {
            let (jobs, microseconds) = (new.jobs - old.jobs, new.microseconds - old.microseconds);
            (*stage, StageSum { jobs, microseconds })
        });
        since.filter(|(_, sum)| sum.jobs > 0).collect()
    }
}

fn now() -> [StageSum; STAGES.len()] {
    STAGES.map(|stage| StageSum {
        jobs: STAGE_JOBS[stage as usize].load(Ordering::Relaxed),
        microseconds: STAGE_MICROSECONDS[stage as usize].load(Ordering::Relaxed),
    })
}

/// A duration in microseconds.
#[must_use]
pub fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_and_stage_has_a_place_of_its_own() {
        for (place, figure) in FIGURES.iter().enumerate() {
            assert_eq!(*figure as usize, place);
        }
        for (place, reason) in DROP_REASONS.iter().enumerate() {
            assert_eq!(*reason as usize, place);
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        for (place, stage) in STAGES.iter().enumerate() {
            assert_eq!(*stage as usize, place);
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
    }

    #[test]
    fn a_window_forgets_what_was_before_it() {
        let mut window = StageWindow::of(2);
        passed(Stage::Pushed, 2, 300);
        assert_eq!(window.look()[&Stage::Pushed], StageSum { jobs: 2, microseconds: 300 });
        passed(Stage::Pushed, 1, -5);
        assert_eq!(window.look()[&Stage::Pushed], StageSum { jobs: 3, microseconds: 300 });
        assert_eq!(window.look()[&Stage::Pushed], StageSum { jobs: 1, microseconds: 0 });
        assert_eq!(window.look().get(&Stage::Pushed), None);
    }
}
