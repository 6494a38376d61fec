//! The sums of time within each bucket of a window.

use super::{Corrected, Corrections, Durations, StatusFold, Transition};

/// Adds up how long a monitor was up, down, paused, excluded and unknown in each bucket, from its transitions
/// one at a time in the order of their positions.
#[derive(Debug)]
pub struct Measure<'a> {
    fold: StatusFold<()>,
    sums: Sums<'a>,
}

#[derive(Debug)]
struct Sums<'a> {
    corrections: &'a Corrections,
    /// The end of each bucket.
    ends: &'a [i64],
    buckets: Vec<Durations>,
    /// The bucket that the next piece of time begins in.
    place: usize,
    /// What the time before counted as, so that an outage in several pieces is counted once.
    before: Option<Corrected>,
}

impl<'a> Measure<'a> {
    /// Over the buckets between the borders, of which each is later than the one before. The first and the
    /// last border are the ends of the window.
    #[must_use]
    pub fn new(corrections: &'a Corrections, borders: &'a [i64]) -> Self {
        let from = borders.first().copied().unwrap_or_default();
        let to = borders.last().copied().unwrap_or_default();
        let ends = borders.get(1..).unwrap_or_default();
        let buckets = vec![Durations::default(); ends.len()];
        let sums = Sums { corrections, ends, buckets, place: 0, before: None };
        Self { fold: StatusFold::new(from, to), sums }
    }

    /// Takes the transition of the next position.
    pub fn push(&mut self, transition: Transition) {
        let sums = &mut self.sums;
        self.fold.push(transition, |segment| sums.add((segment.from, segment.to), segment.status));
    }

    /// The sums of each bucket, once all transitions were taken.
    #[must_use]
    pub fn finish(self) -> Vec<Durations> {
        let Self { fold, mut sums } = self;
        fold.finish(|segment| sums.add((segment.from, segment.to), segment.status));
        sums.buckets
    }
}

impl Sums<'_> {
    fn add(&mut self, times: (i64, i64), status: Option<super::Status>) {
        let corrections = self.corrections;
        corrections.apply(times, status, |from, to, counts_as| self.count(from, to, counts_as));
    }

    fn count(&mut self, from: i64, to: i64, counts_as: Corrected) {
        let begins_outage = counts_as == Corrected::Down && self.before != Some(Corrected::Down);
        self.before = Some(counts_as);
        let (mut at, mut outages) = (from, u64::from(begins_outage));
        while at < to {
            let Some((end, bucket)) =
                self.ends.get(self.place).zip(self.buckets.get_mut(self.place))
            else {
                return;
            };
            let until = to.min(*end);
            if until > at {
                bucket.add(counts_as, i128::from(until) - i128::from(at));
                bucket.outages += std::mem::take(&mut outages);
                at = until;
            }
            if until == *end {
                self.place += 1;
            }
        }
    }
}

/// The sums of each bucket between `borders`, from all transitions of a monitor.
#[must_use]
pub fn measure(
    transitions: impl IntoIterator<Item = Transition>,
    corrections: &Corrections,
    borders: &[i64],
) -> Vec<Durations> {
    let mut measure = Measure::new(corrections, borders);
    transitions.into_iter().for_each(|transition| measure.push(transition));
    measure.finish()
}

#[cfg(test)]
mod tests;
