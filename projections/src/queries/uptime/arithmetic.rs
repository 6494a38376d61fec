//! How long a monitor was up, down, paused or unknown within a window: pure arithmetic over its
//! transitions. Times are microseconds since the epoch.

use std::collections::VecDeque;

use crate::analytics::Status;

/// From `at` on the status holds, until a transition of a higher position says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) at: i64,
    pub(super) status: Status,
    /// No transition of a higher position reaches back before this.
    pub(super) settled_at: i64,
}

/// How long each status held, in microseconds. The sum is the length of the window, times the number of
/// monitors that were added up: more than an `i64` holds, for a caller chooses the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Durations {
    pub(super) up: i128,
    pub(super) down: i128,
    pub(super) paused: i128,
    /// Nothing was known: before the registration, until the first result, without results, and after
    /// the archiving.
    pub(super) unknown: i128,
    /// Uninterrupted times of being down that reach into the window.
    pub(super) outages: u64,
}

impl Durations {
    /// The share of the known time that it was up; none where nothing is known.
    pub(super) fn uptime_ratio(&self) -> Option<f64> {
        let known = self.up + self.down;
        (known > 0).then(|| self.up as f64 / known as f64)
    }

    /// Adds up the time and the outages of several monitors.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            up: self.up + other.up,
            down: self.down + other.down,
            paused: self.paused + other.paused,
            unknown: self.unknown + other.unknown,
            outages: self.outages + other.outages,
        }
    }

    fn add(&mut self, status: Option<Status>, length: i128) {
        match status {
            Some(Status::Up) => self.up += length,
            Some(Status::Down) => self.down += length,
            Some(Status::Paused) => self.paused += length,
            Some(Status::Pending | Status::Unknown | Status::Archived) | None => {
                self.unknown += length;
            }
        }
    }
}

/// Adds up the durations within a window from transitions in the order of their positions, one at a time. It
/// keeps only those that a later one may still reach back over, which are a few, however many it takes.
///
/// At a moment t the status is that of the highest position among the transitions with `at` <= t: an outage
/// that was found out later reaches back over what was thought before.
#[derive(Debug)]
pub(super) struct Fold {
    to: i64,
    durations: Durations,
    /// Up to here the durations are added up.
    reached: i64,
    /// The status before `reached`, so that an outage in several pieces is counted once.
    before: Option<Status>,
    /// What holds from `reached` on, until the first unsettled transition.
    current: Option<Status>,
    /// Each moment later than the one before.
    unsettled: VecDeque<(i64, Status)>,
}

impl Fold {
    pub(super) fn new(from: i64, to: i64) -> Self {
        Self {
            to,
            durations: Durations::default(),
            reached: from,
            before: None,
            current: None,
            unsettled: VecDeque::new(),
        }
    }

    /// Takes the transition of the next position.
    pub(super) fn push(&mut self, transition: Transition) {
        while self.unsettled.back().is_some_and(|(at, _)| *at >= transition.at) {
            self.unsettled.pop_back();
        }
        self.unsettled.push_back((transition.at, transition.status));
        while let Some((at, status)) = self.unsettled.front().copied()
            && at <= transition.settled_at
        {
            self.unsettled.pop_front();
            self.change(at, status);
        }
    }

    /// The durations, once all transitions were taken.
    pub(super) fn finish(mut self) -> Durations {
        for (at, status) in std::mem::take(&mut self.unsettled) {
            self.change(at, status);
        }
        self.add_until(self.to);
        self.durations
    }

    fn change(&mut self, at: i64, status: Status) {
        self.add_until(at);
        self.current = Some(status);
    }

    fn add_until(&mut self, moment: i64) {
        let until = moment.min(self.to);
        if until <= self.reached {
            return;
        }
        self.durations.add(self.current, i128::from(until) - i128::from(self.reached));
        if self.current == Some(Status::Down) && self.before != self.current {
            self.durations.outages += 1;
        }
        self.reached = until;
        self.before = self.current;
    }
}

#[cfg(test)]
mod tests;
