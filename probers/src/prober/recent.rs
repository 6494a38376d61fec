//! Checks that this prober made or is making: when Kafka comes back, or partitions move, jobs are
//! delivered again, and no target is to see a second request for that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pulsetrail_domain::{CheckId, Timestamp};
use tokio_util::sync::{CancellationToken, DropGuard};

/// When to look for checks that cannot come again first.
const SWEEP_AT_LEAST: usize = 4_096;

/// The checks whose deadline has not passed.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    checks: HashMap<CheckId, (CancellationToken, Timestamp)>,
    sweep_at: usize,
}

/// What is known of a check.
#[derive(Debug)]
pub(super) enum Begun {
    /// Nothing: it is to be made, and is finished when the guard is dropped.
    First(DropGuard),
    /// It is being made, until this is cancelled, or was made.
    Before(CancellationToken),
}

impl Recent {
    /// A job came at `now`, whose deadline is not over.
    pub(super) fn begin(&self, check_id: CheckId, deadline: Timestamp, now: Timestamp) -> Begun {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((finished, _)) = known.checks.get(&check_id) {
            return Begun::Before(finished.clone());
        }
        if known.checks.len() >= known.sweep_at.max(SWEEP_AT_LEAST) {
            known
                .checks
                .retain(|_, (finished, deadline)| !finished.is_cancelled() || *deadline > now);
            known.sweep_at = known.checks.len() * 2;
        }
        let finished = CancellationToken::new();
        known.checks.insert(check_id, (finished.clone(), deadline));
        Begun::First(finished.drop_guard())
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::timestamp_from_millis;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_check_begins_once_until_its_deadline() {
        let recent = Recent::default();
        let at = timestamp_from_millis;
        let check = |number| CheckId(Uuid::from_u128(number));
        let Begun::First(guard) = recent.begin(check(1), at(100), at(0)) else { panic!("first") };
        let Begun::Before(finished) = recent.begin(check(1), at(100), at(1)) else {
            panic!("again")
        };
        assert!(!finished.is_cancelled());
        drop(guard);
        assert!(finished.is_cancelled());
        assert!(matches!(recent.begin(check(1), at(100), at(2)), Begun::Before(_)));
        for number in 2..10_000 {
            drop(recent.begin(check(number), at(100), at(101)));
        }
        assert!(recent.known.lock().unwrap().checks.len() <= SWEEP_AT_LEAST);
    }
}
