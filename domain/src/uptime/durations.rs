//! Sums of time, and the figures that follow from them.

use super::Corrected;

/// How long a window was up, down, paused, excluded and unknown, in microseconds. The five add up to the
/// length of the window, times the number of monitors that were added up: more than an `i64` holds, because a
/// caller chooses the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Up.
    pub up: i128,
    /// Down.
    pub down: i128,
    /// Paused.
    pub paused: i128,
    /// Maintenance.
    pub excluded: i128,
    /// Nothing was known: before the registration, until the first result, without results, and after
    /// the archiving.
    pub unknown: i128,
    /// Uninterrupted times of being down. Each counts where it begins, or at the beginning of the window if
    /// it began before.
    pub outages: u64,
}

impl Durations {
    /// Adds up other times, or other monitors.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            up: self.up + other.up,
            down: self.down + other.down,
            paused: self.paused + other.paused,
            excluded: self.excluded + other.excluded,
            unknown: self.unknown + other.unknown,
            outages: self.outages + other.outages,
        }
    }

    /// The share of the known time that it was up, 0 to 1; none when nothing is known.
    #[must_use]
    pub fn uptime_ratio(&self) -> Option<f64> {
        ratio(self.up, self.up + self.down)
    }

    /// The same as a text: see [`percent`].
    #[must_use]
    pub fn uptime_percent(&self) -> Option<String> {
        percent(self.up, self.up + self.down)
    }

    /// The share of the time that counts of which something is known, 0 to 1; none when no time counts.
    #[must_use]
    pub fn coverage(&self) -> Option<f64> {
        ratio(self.up + self.down, self.up + self.down + self.unknown)
    }

    /// The mean time to recovery in seconds: the down time divided by the outages. An outage that reaches out
    /// of the window counts with its part within.
    #[must_use]
    pub fn mttr_seconds(&self) -> Option<f64> {
        self.per_outage(self.down)
    }

    /// The mean time between failures in seconds: the up time divided by the outages.
    #[must_use]
    pub fn mtbf_seconds(&self) -> Option<f64> {
        self.per_outage(self.up)
    }

    fn per_outage(&self, microseconds: i128) -> Option<f64> {
        (self.outages > 0).then(|| microseconds as f64 / self.outages as f64 / 1e6)
    }

    pub(super) fn add(&mut self, counts_as: Corrected, length: i128) {
        match counts_as {
            Corrected::Up => self.up += length,
            Corrected::Down => self.down += length,
            Corrected::Paused => self.paused += length,
            Corrected::Excluded => self.excluded += length,
            Corrected::Unknown => self.unknown += length,
        }
    }
}

fn ratio(part: i128, whole: i128) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A part of a whole in percent, with three decimals, rounded down: `100.000` stands for all of it alone.
/// None when the whole is 0.
#[must_use]
pub fn percent(part: i128, whole: i128) -> Option<String> {
    (whole > 0).then(|| {
        let thousandths = part * 100_000 / whole;
        format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_rounded_down_and_is_100_only_if_nothing_is_missing() {
        let texts = [
            (0, 3, "0.000"),
            (1, 3, "33.333"),
            (2, 3, "66.666"),
            (3, 3, "100.000"),
            (99_996, 100_000, "99.996"),
            // One microsecond of a year, of ten thousand monitors.
            (315_360_000_000_000_000 - 1, 315_360_000_000_000_000, "99.999"),
        ];
        for (part, whole, text) in texts {
            assert_eq!(percent(part, whole).as_deref(), Some(text));
        }
        assert_eq!(percent(0, 0), None);
    }

    #[test]
    fn figures_follow_from_the_sums() {
        let durations = Durations {
            up: 90_000_000,
            down: 10_000_000,
            paused: 7,
            excluded: 8,
            unknown: 300_000_000,
            outages: 2,
        };
        assert_eq!(durations.uptime_ratio(), Some(0.9));
        assert_eq!(durations.coverage(), Some(0.25));
        assert_eq!((durations.mttr_seconds(), durations.mtbf_seconds()), (Some(5.0), Some(45.0)));
        let nothing = Durations { paused: 7, ..Durations::default() };
        assert_eq!((nothing.uptime_ratio(), nothing.coverage()), (None, None));
        assert_eq!((nothing.mttr_seconds(), nothing.mtbf_seconds()), (None, None));
    }
}
