//! Where a scheduler goes on that takes over from another, or comes back after a while.

use pulsetrail_domain::MonitorId;
use pulsetrail_domain::schedule::{Change, SlotRun, SlotWindow, slots_due};
use pulsetrail_domain::slot::{latest_begin_ms, next_slot_ms};

/// How old a slot may be that the scheduler before did not come to: a little longer than taking over lasts.
/// Older ones are dropped, so that no flood of jobs follows after a long time without a scheduler.
const MAKE_UP_MS: i64 = 15_000;

/// Where a monitor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumption {
    /// Its next slot, in ms.
    pub(super) first_ms: i64,
    /// Slots that were due after the last one that was emitted and are not made, each once for every region.
    pub(super) dropped: u64,
}

/// Where a monitor that is checked every `interval_ms` goes on at `now_ms`, from its whole history and the
/// moment through which its slots were emitted.
pub(super) fn resume(
    (monitor_id, interval_ms): (MonitorId, i64),
    history: &[(i64, Change)],
    through_ms: i64,
    now_ms: i64,
) -> Resumption {
    let due = |to_ms| {
        let from_ms = through_ms.saturating_add(1);
        let window = SlotWindow { from_ms, to_ms, known_until_ms: i64::MAX };
        slots_due(monitor_id, history.iter().cloned(), window)
    };
    let lasts_ms = latest_begin_ms(0, interval_ms).min(MAKE_UP_MS);
    let missed = due(now_ms + 1);
    let first_ms = missed.iter().find_map(|run| first_after(run, now_ms - lasts_ms));
    let first_ms = first_ms.unwrap_or_else(|| next_slot_ms(monitor_id, interval_ms, now_ms));
    let dropped = due(first_ms.min(now_ms + 1)).iter().map(SlotRun::checks).sum();
    Resumption { first_ms, dropped }
}

/// The first slot of a run after `after_ms`.
fn first_after(run: &SlotRun, after_ms: i64) -> Option<i64> {
    let passed_ms = (after_ms + 1 - run.first_ms).max(0);
    let steps = (passed_ms + run.interval_ms - 1) / run.interval_ms;
    let first_ms = run.first_ms + steps * run.interval_ms;
    (first_ms <= run.last_ms).then_some(first_ms)
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::Region;
    use pulsetrail_domain::schedule::Cadence;

    use super::super::roster::tests::{START, monitor};
    use super::*;

    fn every(interval_ms: i64) -> Cadence {
        Cadence { interval_ms, timeout_ms: 1_000, regions: vec![Region::default()] }
    }

    fn registered(at_ms: i64, interval_ms: i64) -> Vec<(i64, Change)> {
        vec![(at_ms, Change::Registered(every(interval_ms)))]
    }

    const LONG_AGO: i64 = START - 86_400_000;

    #[test]
    fn after_a_short_absence_no_slot_is_dropped_and_none_comes_twice() {
        for n in 0..200 {
            let history = registered(LONG_AGO, 20_000);
            let through_ms = START - 4_000;
            let Resumption { first_ms, dropped } =
                resume((monitor(n), 20_000), &history, through_ms, START);
            assert_eq!(dropped, 0);
            assert_eq!(first_ms, next_slot_ms(monitor(n), 20_000, through_ms));
        }
    }

    #[test]
    fn after_a_long_absence_the_newest_slots_are_made_and_the_others_counted() {
        let (mut at_once, mut dropped) = (0, 0);
        for n in 0..1_000 {
            let history = registered(LONG_AGO, 60_000);
            let resumed = resume((monitor(n), 60_000), &history, START - 3_600_000, START);
            at_once += u64::from(resumed.first_ms <= START);
            dropped += resumed.dropped;
            assert!(resumed.first_ms > START - MAKE_UP_MS);
        }
        assert!((150..350).contains(&at_once), "{at_once}: a quarter of a minute's");
        assert_eq!(at_once + dropped, 60 * 1_000, "every slot of the hour");
    }

    #[test]
    fn a_monitor_that_began_before_a_takeover_gets_its_first_job() {
        let history = registered(START - 3_000, 3_600_000);
        let resumed = resume((monitor(1), 3_600_000), &history, START - 3_001, START);
        assert_eq!(resumed, Resumption { first_ms: START - 3_000, dropped: 0 });
        let resumed = resume((monitor(1), 3_600_000), &history, START - 3_000, START);
        assert!(resumed.first_ms > START);
    }

    #[test]
    fn slots_before_a_pause_that_nobody_emitted_are_counted() {
        let mut history = registered(LONG_AGO, 1_000);
        history.push((START - 10_000, Change::Paused));
        let resumed = resume((monitor(1), 1_000), &history, START - 20_000, START);
        assert!(resumed.first_ms > START);
        assert_eq!(resumed.dropped, 10);
    }
}
