//! Whether a result's slot lies near enough to the present to be recorded.
//!
//! The newest result of a region is its vote. One whose slot lies an hour ahead would outrank every
//! result of that hour, so that the monitor could neither go down nor become unknown. Its slot is not
//! moved either: a slot is the identity of its check.

use chrono::Duration;

use crate::Timestamp;

/// How far a slot may lie after the time at which its result is recorded: the clocks of the machines that
/// take part may differ by that much.
pub const MAX_AHEAD: Duration = Duration::minutes(5);
/// How long before that time a slot may lie.
pub const MAX_AGE: Duration = Duration::days(7);

/// Where a slot lies, seen from the time at which its result is to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeliness {
    /// It can be recorded.
    InTime,
    /// It lies more than [`MAX_AHEAD`] in the future: a clock is wrong, and the result must not count.
    Ahead,
    /// It lies more than [`MAX_AGE`] in the past: nobody looks at it any more.
    TooLate,
}

impl Timeliness {
    /// Of a result of the slot `scheduled_at` that is to be recorded at `now`.
    #[must_use]
    pub fn of(scheduled_at: Timestamp, now: Timestamp) -> Self {
        let ahead = scheduled_at.signed_duration_since(now);
        if ahead > MAX_AHEAD {
            Self::Ahead
        } else if -ahead > MAX_AGE {
            Self::TooLate
        } else {
            Self::InTime
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{policy, result};
    use super::super::{Health, HealthCommand, HealthStatus};
    use super::*;
    use crate::check::Outcome;
    use crate::timestamp_from_millis;

    #[test]
    fn a_slot_is_in_time_from_seven_days_before_to_five_minutes_after() {
        let now = timestamp_from_millis(1_800_000_000_000);
        let of = |ms: i64| Timeliness::of(now + Duration::milliseconds(ms), now);
        assert_eq!(of(300_000), Timeliness::InTime);
        assert_eq!(of(300_001), Timeliness::Ahead);
        assert_eq!(of(-604_800_000), Timeliness::InTime);
        assert_eq!(of(-604_800_001), Timeliness::TooLate);
        assert_eq!(Timeliness::of(Timestamp::MAX_UTC, now), Timeliness::Ahead);
        assert_eq!(Timeliness::of(Timestamp::MIN_UTC, now), Timeliness::TooLate);
    }

    /// Why a slot far ahead is not recorded: here it is, and the monitor cannot go down.
    #[test]
    fn a_result_of_a_slot_far_ahead_outranks_every_real_one() {
        let status_after = |slots: &[(i64, Outcome)], recorded_at_slot: i64| {
            let (mut health, policy) = (Health::default(), policy(&["a"], 1));
            let now = timestamp_from_millis(recorded_at_slot * 1_000);
            for (slot, outcome) in slots {
                let result = result("a", *slot, *outcome);
                if Timeliness::of(result.scheduled_at, now) == Timeliness::Ahead {
                    continue;
                }
                let (result, known_to_be_new) = (Box::new(result), true);
                let command =
                    HealthCommand::RecordCheck { result, policy: policy.clone(), known_to_be_new };
                for event in health.decide(&command).unwrap() {
                    health.apply_event(&event);
                }
            }
            health.status
        };
        let slots = [(1, Outcome::Up), (3_600, Outcome::Up), (2, Outcome::Down)];
        assert_eq!(status_after(&slots, 2), HealthStatus::Down);
        // The control: at a time from which that slot is not far ahead, it is recorded.
        assert_eq!(status_after(&slots, 3_600), HealthStatus::Up);
    }
}
