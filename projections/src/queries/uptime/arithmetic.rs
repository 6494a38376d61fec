//! How long a monitor was up, down, paused or unknown within a window: pure arithmetic over its
//! transitions. Times are microseconds since the epoch.

use crate::analytics::Status;

/// From `at` on the status holds, until a transition of a higher position says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) at: i64,
    pub(super) position: i64,
    pub(super) status: Status,
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

/// The durations within `from..to`, from transitions in any order. At a moment t the status is that of
/// the highest position among the transitions with `at` <= t: an outage that was found out later
/// reaches back over what was thought before.
pub(super) fn durations(transitions: &[Transition], from: i64, to: i64) -> Durations {
    let mut in_order: Vec<&Transition> = transitions.iter().filter(|next| next.at < to).collect();
    in_order.sort_unstable_by_key(|transition| (transition.at, transition.position));
    let mut durations = Durations::default();
    let mut current: Option<&Transition> = None;
    let mut reached = from;
    // The status of the piece before, so that an outage in several pieces is counted once.
    let mut before = None;
    let mut piece = |status: Option<Status>, until: i64| {
        if until > reached {
            durations.add(status, i128::from(until) - i128::from(reached));
            if status == Some(Status::Down) && before != status {
                durations.outages += 1;
            }
            reached = until;
            before = status;
        }
    };
    for next in in_order {
        if current.is_none_or(|current| current.position < next.position) {
            piece(current.map(|current| current.status), next.at);
            current = Some(next);
        }
    }
    piece(current.map(|current| current.status), to);
    durations
}

#[cfg(test)]
mod tests;
