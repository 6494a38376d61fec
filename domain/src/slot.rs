//! When a monitor is due, and the identity of each check.

use uuid::Uuid;

use crate::{CheckId, MonitorId, Region};

/// The namespace of the version 5 UUIDs that identify scheduled checks.
const CHECK_NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_6d36_5f0c_5d0e_9f5e_2f1f_0a64_c1d7);

/// The longest that a check may wait after its slot until it begins, in ms.
pub const LONGEST_WAIT_MS: i64 = 60_000;

/// The latest moment at which the check of a slot may begin, in ms since the epoch: until the monitor's next
/// slot, and [`LONGEST_WAIT_MS`] after its own at most. A check that has begun gets its whole timeout.
#[must_use]
pub fn latest_begin_ms(slot_ms: i64, interval_ms: i64) -> i64 {
    slot_ms.saturating_add(interval_ms.min(LONGEST_WAIT_MS))
}

/// The monitor's place within its interval, in ms: `0..interval_ms`. It depends on the id alone, so
/// that the load is spread over the interval and survives a restart.
#[must_use]
pub fn phase_ms(monitor: MonitorId, interval_ms: i64) -> i64 {
    let bits = monitor.0.as_u128();
    // A version 7 id starts with the time; its low half is random in every version that is used.
    let spread = (bits as u64) ^ ((bits >> 64) as u64).rotate_left(17);
    (spread % interval_ms.max(1).unsigned_abs()).cast_signed()
}

/// The first slot after `after_ms` (ms since the epoch): `phase + k · interval`.
#[must_use]
pub fn next_slot_ms(monitor: MonitorId, interval_ms: i64, after_ms: i64) -> i64 {
    let interval_ms = interval_ms.max(1);
    let phase = phase_ms(monitor, interval_ms);
    phase + ((after_ms - phase).div_euclid(interval_ms) + 1) * interval_ms
}

/// The id of the scheduled check of a slot: the same however often its job is made.
#[must_use]
pub fn scheduled_check_id(monitor: MonitorId, region: &Region, slot_ms: i64) -> CheckId {
    let mut name = Vec::with_capacity(16 + 32 + 9);
    name.extend_from_slice(monitor.0.as_bytes());
    name.extend_from_slice(region.as_str().as_bytes());
    name.push(0);
    name.extend_from_slice(&slot_ms.to_be_bytes());
    CheckId(Uuid::new_v5(&CHECK_NAMESPACE, &name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(seed: u128) -> MonitorId {
        MonitorId(Uuid::from_u128(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)))
    }

    #[test]
    fn slots_are_one_interval_apart_and_later_than_asked() {
        for seed in 0..200 {
            let first = next_slot_ms(monitor(seed), 7_000, 1_700_000_000_123);
            assert!(first > 1_700_000_000_123 && first <= 1_700_000_007_123);
            assert_eq!(next_slot_ms(monitor(seed), 7_000, first), first + 7_000);
            assert_eq!(next_slot_ms(monitor(seed), 7_000, first - 1), first);
        }
    }

    #[test]
    fn a_check_begins_before_the_next_slot_and_within_a_minute() {
        assert_eq!(latest_begin_ms(5_000, 7_000), 12_000);
        assert_eq!(latest_begin_ms(5_000, 60_000), 65_000);
        assert_eq!(latest_begin_ms(5_000, 86_400_000), 65_000);
    }

    #[test]
    fn phases_spread_over_the_interval() {
        let mut buckets = [0_u32; 10];
        for seed in 0..10_000 {
            let phase = phase_ms(monitor(seed), 60_000);
            buckets[usize::try_from(phase / 6_000).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (850..1_150).contains(count)), "{buckets:?}");
    }

    #[test]
    fn the_id_of_a_check_depends_on_monitor_region_and_slot() {
        let region = Region::default();
        let id = scheduled_check_id(monitor(1), &region, 5);
        assert_eq!(id, scheduled_check_id(monitor(1), &region, 5));
        assert_ne!(id, scheduled_check_id(monitor(2), &region, 5));
        assert_ne!(id, scheduled_check_id(monitor(1), &region, 6));
        assert_ne!(id, scheduled_check_id(monitor(1), &"eu".parse().unwrap(), 5));
        assert_eq!(id.0.get_version_num(), 5);
    }
}
