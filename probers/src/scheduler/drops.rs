//! Slots whose jobs are not made: counted by their reason, and logged some at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use pulsetrail_infra::metrics;
use pulsetrail_infra::vitals::DropReason;
use tokio::time::Instant;

/// How often drops of one reason are logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Counts the slots that are dropped.
#[derive(Debug, Default)]
pub(super) struct Drops {
    reasons: BTreeMap<DropReason, Unlogged>,
}

#[derive(Debug, Default)]
struct Unlogged {
    slots: u64,
    logged_at: Option<Instant>,
}

impl Drops {
    /// Counts slots, each once for every region that does not check it.
    pub(super) fn count(&mut self, reason: DropReason, slots: u64) {
        if slots > 0 {
            metrics::slots_dropped(reason, slots);
            self.reasons.entry(reason).or_default().slots += slots;
        }
    }

    /// How many were counted and not logged.
    #[cfg(test)]
    pub(super) fn total(&self) -> u64 {
        self.reasons.values().map(|unlogged| unlogged.slots).sum()
    }

    /// Logs what was not logged yet, if it is time; `at_last` does not wait for that.
    pub(super) fn log(&mut self, at_last: bool) {
        for (reason, unlogged) in &mut self.reasons {
            let is_time = unlogged.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY);
            if unlogged.slots > 0 && (is_time || at_last) {
                let slots = std::mem::take(&mut unlogged.slots);
                unlogged.logged_at = Some(Instant::now());
                tracing::warn!(
                    reason = reason.as_str(),
                    slots,
                    "slots are dropped without a check"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drops_of_a_reason_are_logged_together_once_in_a_while() {
        let mut drops = Drops::default();
        drops.count(DropReason::ClockJump, 3);
        drops.count(DropReason::Kafka, 0);
        assert_eq!(drops.reasons.len(), 1);
        drops.log(false);
        assert_eq!(drops.total(), 0);
        drops.count(DropReason::ClockJump, 5);
        drops.log(false);
        assert_eq!(drops.total(), 5, "it was logged a moment ago");
        tokio::time::advance(LOG_EVERY).await;
        drops.log(false);
        assert_eq!(drops.total(), 0);
        drops.count(DropReason::ClockJump, 1);
        drops.log(true);
        assert_eq!(drops.total(), 0);
    }
}
