//! The outages of a monitor, one after the other.

use super::{Corrected, Corrections, StatusFold, Transition};

/// An uninterrupted time of being down. Maintenance, a pause or a false alarm within it makes two of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage<C> {
    /// Since when, in microseconds since the epoch.
    pub started_at: i64,
    /// Until when; none of one that goes on.
    pub ended_at: Option<i64>,
    /// Why, as the first transition said.
    pub cause: C,
}

/// Finds the outages up to a moment, from transitions one at a time in the order of their positions.
#[derive(Debug)]
pub struct Outages<'a, C> {
    fold: StatusFold<C>,
    runs: Runs<'a, C>,
}

#[derive(Debug)]
struct Runs<'a, C> {
    corrections: &'a Corrections,
    open: Option<Outage<C>>,
}

impl<'a, C: Clone> Outages<'a, C> {
    /// As it is known at a moment.
    #[must_use]
    pub fn new(corrections: &'a Corrections, known_until: i64) -> Self {
        let fold = StatusFold::new(i64::MIN, known_until);
        Self { fold, runs: Runs { corrections, open: None } }
    }

    /// Takes the transition of the next position, and gives out the outages that ended.
    pub fn push(&mut self, transition: Transition<C>, mut give: impl FnMut(Outage<C>)) {
        let runs = &mut self.runs;
        self.fold.push(transition, |segment| {
            runs.add((segment.from, segment.to), segment.status, segment.cause, &mut give);
        });
    }

    /// Gives out the rest, once all transitions were taken.
    pub fn finish(self, mut give: impl FnMut(Outage<C>)) {
        let Self { fold, mut runs } = self;
        fold.finish(|segment| {
            runs.add((segment.from, segment.to), segment.status, segment.cause, &mut give);
        });
        if let Some(open) = runs.open {
            give(open);
        }
    }
}

impl<C: Clone> Runs<'_, C> {
    fn add(
        &mut self,
        times: (i64, i64),
        status: Option<super::Status>,
        cause: Option<&C>,
        give: &mut impl FnMut(Outage<C>),
    ) {
        let corrections = self.corrections;
        corrections.apply(times, status, |from, _, counts_as| {
            match (counts_as, &self.open, cause) {
                (Corrected::Down, None, Some(cause)) => {
                    let cause = cause.clone();
                    self.open = Some(Outage { started_at: from, ended_at: None, cause });
                }
                (Corrected::Down, ..) => {}
                _ => {
                    if let Some(open) = self.open.take() {
                        give(Outage { ended_at: Some(from), ..open });
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status::{Down, Paused, Pending, Up};
    use super::super::{Spans, Status};
    use super::*;

    fn outages(
        changes: &[(i64, Status, char)],
        corrections: &Corrections,
    ) -> Vec<(i64, Option<i64>, char)> {
        let mut outages = Outages::new(corrections, 1_000);
        let mut found = Vec::new();
        let mut note = |outage: Outage<char>| {
            found.push((outage.started_at, outage.ended_at, outage.cause));
        };
        for (at, status, cause) in changes {
            let (at, status, cause) = (*at, *status, *cause);
            outages.push(Transition { at, status, settled_at: i64::MIN, cause }, &mut note);
        }
        outages.finish(note);
        found
    }

    #[test]
    fn an_outage_lasts_until_something_else_is_known_and_the_last_one_goes_on() {
        let changes =
            [(1, Pending, ' '), (10, Down, 'a'), (20, Down, 'b'), (30, Up, ' '), (900, Down, 'c')];
        let none = Corrections::default();
        assert_eq!(outages(&changes, &none), [(10, Some(30), 'a'), (900, None, 'c')]);
    }

    #[test]
    fn what_is_corrected_is_no_outage() {
        let changes = [(10, Down, 'a'), (100, Paused, ' '), (150, Down, 'b'), (200, Up, ' ')];
        let corrections = Corrections {
            excluded: [(20, 30)].into_iter().collect(),
            false_alarms: [(90, 180)].into_iter().collect::<Spans>(),
        };
        let expected = [(10, Some(20), 'a'), (30, Some(90), 'a'), (180, Some(200), 'b')];
        assert_eq!(outages(&changes, &corrections), expected);
    }

    #[test]
    fn an_outage_that_was_found_out_later_began_when_it_began() {
        let changes = [(10, Up, ' '), (50, Up, ' '), (40, Down, 'a'), (70, Up, ' ')];
        assert_eq!(outages(&changes, &Corrections::default()), [(40, Some(70), 'a')]);
    }
}
