//! What people say about a time afterwards, or in advance: that it was maintenance, or a false alarm.

use super::Status;

/// Times without overlap, in order: from the first moment until before the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<(i64, i64)>);

impl FromIterator<(i64, i64)> for Spans {
    /// Spans in any order, which may overlap. One that ends before it begins is empty.
    fn from_iter<T: IntoIterator<Item = (i64, i64)>>(spans: T) -> Self {
        let mut spans: Vec<(i64, i64)> = spans.into_iter().filter(|(from, to)| from < to).collect();
        spans.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(spans.len());
        for (from, to) in spans {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => merged.push((from, to)),
            }
        }
        Self(merged)
    }
}

impl Spans {
    /// Whether a moment lies in one of them, and until when that stays so.
    fn at(&self, moment: i64) -> (bool, i64) {
        let next = self.0.partition_point(|(_, to)| *to <= moment);
        match self.0.get(next) {
            Some((from, to)) if *from <= moment => (true, *to),
            Some((from, _)) => (false, *from),
            None => (false, i64::MAX),
        }
    }
}

/// The corrections of one monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrections {
    /// Maintenance: this time does not count.
    pub excluded: Spans,
    /// What was reported in this time was a false alarm: it counts as up.
    pub false_alarms: Spans,
}

/// What a time counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Corrected {
    Up,
    Down,
    Paused,
    Excluded,
    Unknown,
}

impl Corrected {
    /// The first that applies decides: paused, excluded, false alarm, status.
    fn of(status: Option<Status>, excluded: bool, false_alarm: bool) -> Self {
        match status {
            Some(Status::Paused) => Self::Paused,
            _ if excluded => Self::Excluded,
            _ if false_alarm => Self::Up,
            Some(Status::Up) => Self::Up,
            Some(Status::Down) => Self::Down,
            Some(Status::Pending | Status::Unknown | Status::Archived) | None => Self::Unknown,
        }
    }
}

impl Corrections {
    /// Cuts a time in which a status holds into pieces that each count as one thing.
    pub(super) fn apply(
        &self,
        (from, to): (i64, i64),
        status: Option<Status>,
        mut give: impl FnMut(i64, i64, Corrected),
    ) {
        let mut at = from;
        while at < to {
            let (excluded, excluded_until) = self.excluded.at(at);
            let (false_alarm, alarm_until) = self.false_alarms.at(at);
            let until = to.min(excluded_until).min(alarm_until);
            give(at, until, Corrected::of(status, excluded, false_alarm));
            at = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_or_overlap_are_one_and_empty_ones_are_none() {
        let spans: Spans =
            [(5, 9), (1, 3), (3, 4), (8, 12), (20, 20), (30, 25)].into_iter().collect();
        assert_eq!(spans, Spans(vec![(1, 4), (5, 12)]));
        assert_eq!(spans.at(0), (false, 1));
        assert_eq!(spans.at(1), (true, 4));
        assert_eq!(spans.at(4), (false, 5));
        assert_eq!(spans.at(11), (true, 12));
        assert_eq!(spans.at(12), (false, i64::MAX));
    }
}
