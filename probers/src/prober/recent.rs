//! Checks that this prober made or is making: when Kafka comes back, or partitions move, jobs are
//! delivered again, and no target is to see a second request for that.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pulsetrail_domain::{CheckId, Timestamp};
use tokio_util::sync::CancellationToken;

/// When to look for checks that cannot come again first.
const SWEEP_AT_LEAST: usize = 4_096;

/// The checks whose deadline has not passed.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    checks: HashMap<CheckId, (State, Timestamp)>,
    sweep_at: usize,
}

#[derive(Debug)]
enum State {
    /// Cancelled when it ends; there from when somebody waits for it.
    Making(Option<CancellationToken>),
    Made,
}

/// What is known of a check.
#[derive(Debug)]
pub(super) enum Begun<'a> {
    /// Nothing: it is to be made.
    First(Making<'a>),
    /// It is being made, until this is cancelled.
    Before(CancellationToken),
    /// It was made.
    Made,
}

/// A check that is being made. Dropped without having been made, as when it is left to another prober, it
/// is known no more.
#[derive(Debug)]
pub(super) struct Making<'a> {
    recent: &'a Recent,
    check_id: CheckId,
    is_made: bool,
}

impl Making<'_> {
    /// Its result is where it belongs.
    pub(super) fn made(mut self) {
        self.is_made = true;
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut known = self.recent.known();
        let ended = if self.is_made {
            let check = known.checks.get_mut(&self.check_id);
            check.map(|(state, _)| std::mem::replace(state, State::Made))
        } else {
            known.checks.remove(&self.check_id).map(|(state, _)| state)
        };
        if let Some(State::Making(Some(finished))) = ended {
            finished.cancel();
        }
    }
}

impl Recent {
    /// A job came at `now`, whose deadline is not over.
    pub(super) fn begin(
        &self,
        check_id: CheckId,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Begun<'_> {
        let mut known = self.known();
        if let Some((state, _)) = known.checks.get_mut(&check_id) {
            return match state {
                State::Making(finished) => Begun::Before(finished.get_or_insert_default().clone()),
                State::Made => Begun::Made,
            };
        }
        if known.checks.len() >= known.sweep_at.max(SWEEP_AT_LEAST) {
            known.checks.retain(|_, (state, deadline)| {
                matches!(state, State::Making(_)) || *deadline > now
            });
            known.sweep_at = known.checks.len() * 2;
        }
        known.checks.insert(check_id, (State::Making(None), deadline));
        Begun::First(Making { recent: self, check_id, is_made: false })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::timestamp_from_millis;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_check_that_is_left_to_another_begins_again_when_it_comes_back() {
        let recent = Recent::default();
        let (at, check) = (timestamp_from_millis(100), CheckId(Uuid::from_u128(1)));
        let begin = || recent.begin(check, at, timestamp_from_millis(0));
        let Begun::First(making) = begin() else { panic!("first") };
        let Begun::Before(finished) = begin() else { panic!("again") };
        drop(making);
        assert!(finished.is_cancelled());
        assert!(matches!(begin(), Begun::First(_)));
    }

    #[test]
    fn a_check_begins_once_until_its_deadline() {
        let recent = Recent::default();
        let at = timestamp_from_millis;
        let check = |number| CheckId(Uuid::from_u128(number));
        let Begun::First(making) = recent.begin(check(1), at(100), at(0)) else { panic!("first") };
        let Begun::Before(finished) = recent.begin(check(1), at(100), at(1)) else {
            panic!("again")
        };
        assert!(!finished.is_cancelled());
        making.made();
        assert!(finished.is_cancelled());
        assert!(matches!(recent.begin(check(1), at(100), at(2)), Begun::Made));
        for number in 2..10_000 {
            let Begun::First(making) = recent.begin(check(number), at(100), at(101)) else {
                panic!("first")
            };
            making.made();
        }
        assert!(recent.known.lock().unwrap().checks.len() <= SWEEP_AT_LEAST);
    }
}
