//! The status of a monitor over time, from its transitions in the order of their positions.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What is known of a monitor at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing yet: it was just registered or resumed.
    Pending,
    /// It answers.
    Up,
    /// It does not.
    Down,
    /// Nothing any more: results are overdue.
    Unknown,
    /// It is not checked for now.
    Paused,
    /// It is not checked any more.
    Archived,
}

/// From `at` on the status holds, until a transition of a higher position says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition<C = ()> {
    /// From when on, in microseconds since the epoch.
    pub at: i64,
    /// The status.
    pub status: Status,
    /// No transition of a higher position reaches back before this moment.
    pub settled_at: i64,
    /// Why, when it matters to the caller.
    pub cause: C,
}

/// A time during which one status holds; none before the first transition.
pub(super) struct Segment<'a, C> {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) status: Option<Status>,
    pub(super) cause: Option<&'a C>,
}

/// Turns transitions in the order of their positions into segments in the order of time. It remembers only
/// transitions that a later one may still reach back over, which are a few, however many it takes.
///
/// At a moment t the status is that of the highest position among the transitions with `at` <= t: an outage
/// that was found out later reaches back over what was thought before.
#[derive(Debug)]
pub(super) struct StatusFold<C> {
    to: i64,
    /// Up to here the segments were given out.
    reached: i64,
    /// What holds from `reached` on, until the first unsettled transition.
    current: Option<(Status, C)>,
    /// Each moment later than the one before.
    unsettled: VecDeque<(i64, Status, C)>,
}

impl<C> StatusFold<C> {
    /// Segments from `from` until `to`.
    pub(super) fn new(from: i64, to: i64) -> Self {
        Self { to, reached: from, current: None, unsettled: VecDeque::new() }
    }

    /// Takes the transition of the next position, and gives out what is settled by it.
    pub(super) fn push(&mut self, transition: Transition<C>, mut give: impl FnMut(Segment<'_, C>)) {
        let Transition { at, status, settled_at, cause } = transition;
        while self.unsettled.back().is_some_and(|(later, ..)| *later >= at) {
            self.unsettled.pop_back();
        }
        self.unsettled.push_back((at, status, cause));
        while let Some((at, status, cause)) =
            self.unsettled.pop_front_if(|(at, ..)| *at <= settled_at)
        {
            self.give_until(at, &mut give);
            self.current = Some((status, cause));
        }
    }

    /// Gives out the rest, once all transitions were taken.
    pub(super) fn finish(mut self, mut give: impl FnMut(Segment<'_, C>)) {
        for (at, status, cause) in std::mem::take(&mut self.unsettled) {
            self.give_until(at, &mut give);
            self.current = Some((status, cause));
        }
        self.give_until(self.to, &mut give);
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.unsettled.len()
    }

    fn give_until(&mut self, moment: i64, give: &mut impl FnMut(Segment<'_, C>)) {
        let to = moment.min(self.to);
        if to <= self.reached {
            return;
        }
        let (status, cause) = match &self.current {
            Some((status, cause)) => (Some(*status), Some(cause)),
            None => (None, None),
        };
        give(Segment { from: self.reached, to, status, cause });
        self.reached = to;
    }
}
