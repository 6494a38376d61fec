//! Arithmetic with a monitor's slots.

use pulsetrail_domain::MonitorId;
use pulsetrail_domain::slot::next_slot_ms;

use super::super::template::Shape;

/// The first slot from `candidate_ms` on, itself a slot, whose check may still begin at `now_ms`, and how
/// many slots before it are too late.
pub(super) fn first_in_time(
    monitor_id: MonitorId,
    shape: &Shape,
    candidate_ms: i64,
    now_ms: i64,
) -> (i64, u64) {
    if shape.deadline_ms(candidate_ms) > now_ms {
        return (candidate_ms, 0);
    }
    let lasts_ms = shape.deadline_ms(0);
    let first_ms =
        next_slot_ms(monitor_id, shape.interval_ms(), candidate_ms.max(now_ms - lasts_ms));
    (first_ms, slots_between(monitor_id, shape, candidate_ms, first_ms))
}

/// How many slots there are from `first_ms` on, itself a slot, and before `end_ms`, a slot of the grid.
pub(super) fn slots_between(
    monitor_id: MonitorId,
    shape: &Shape,
    first_ms: i64,
    end_ms: i64,
) -> u64 {
    if first_ms >= end_ms {
        return 0;
    }
    let second_ms = next_slot_ms(monitor_id, shape.interval_ms(), first_ms);
    let later = (end_ms - second_ms) / shape.interval_ms().max(1);
    1 + u64::try_from(later).unwrap_or_default()
}
