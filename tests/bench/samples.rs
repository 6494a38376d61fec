//! Measured durations and their percentiles.

use crate::table::{Row, Table};

/// Durations in milliseconds.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that `percent` of the samples do not exceed (nearest rank).
    pub(crate) fn percentile(&mut self, percent: f64) -> f64 {
        assert!(!self.0.is_empty(), "nothing was measured");
        self.0.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// Adds the rows `<name>_p50` and `<name>_p99`, beside the same percentiles of a reference times
    /// `times`.
    pub(crate) fn report(
        &mut self,
        table: &mut Table,
        name: &str,
        reference: &str,
        reference_samples: &mut Samples,
        times: f64,
    ) {
        for percent in [50.0, 99.0] {
            table.push(Row {
                name: format!("{name}_p{percent:.0}"),
                value: self.percentile(percent),
                unit: "ms",
                reference: format!("{reference} ({} samples here)", self.len()),
                reference_value: reference_samples.percentile(percent) * times,
            });
        }
    }
}
