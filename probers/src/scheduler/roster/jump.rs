//! A clock that jumps, ahead or back, floods nobody and silences nothing.

use pulsetrail_domain::slot::next_slot_ms;
use pulsetrail_infra::vitals::DropReason;

use super::super::overdue::Jump;
use super::slots::slots_between;
use super::{NEVER, Roster};

/// A stretch of the clock that a jump ahead left out, after its begin and up to its end, in ms: no job
/// of its slots was made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    begin: i64,
    end: i64,
}

impl LeftOut {
    fn contains(self, ms: i64) -> bool {
        self.begin < ms && ms <= self.end
    }
}

impl Roster {
    /// The clock has jumped. What came due by the jump alone is dropped: a minute
    /// is not made in a moment. Whose turn is out of reach now gets one within an interval: a slot that
    /// the jump ahead had left out, or, where the clock has gone further back than that, any. A slot whose
    /// jobs were made already waits for the one after it as long as that is no further away than two
    /// intervals.
    ///
    /// What was missed before is nobody's silence.
    pub(in super::super) fn clock_jumped(&mut self, jump: Jump) {
        let Jump { expected_ms, now_ms } = jump;
        self.watching_since_ms = now_ms;
        if now_ms > expected_ms {
            self.left_out = LeftOut { begin: expected_ms, end: now_ms };
        }
        for place in 0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX) {
            let Some(entry) = self.entries.get(place as usize) else { return };
            if entry.next_slot == NEVER {
                continue;
            }
            let shape = &entry.template.shape;
            let interval_ms = shape.interval_ms();
            let next = next_slot_ms(entry.monitor_id, interval_ms, now_ms);
            let was_jumped_over = entry.next_slot > expected_ms && entry.next_slot <= now_ms;
            let wait_ms = entry.next_slot - now_ms;
            let is_out_of_reach = wait_ms > 2 * interval_ms
                || (wait_ms > interval_ms && self.left_out.contains(next));
            if was_jumped_over {
                let passed = slots_between(entry.monitor_id, shape, entry.next_slot, next);
                self.drops.count(DropReason::ClockJump, passed * shape.wanted_regions());
            }
            if was_jumped_over || is_out_of_reach {
                self.set_due(place, next);
                self.watch_until_next_turn(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use pulsetrail_domain::MonitorId;
    use tokio::time::Instant;

    use super::super::super::overdue::Clock;
    use super::super::tests::{START, monitor, registered};
    use super::*;

    const MONITORS: u128 = 200;
    const INTERVAL_MS: i64 = 10_000;
    const STEP_MS: i64 = 100;

    /// A scheduler that looks at a clock which is not the time that passes.
    struct Scheduler {
        roster: Roster,
        clock: Clock,
        begun: Instant,
        /// The time that has passed, and how far the clock on the wall is ahead of it, in ms.
        passed_ms: i64,
        ahead_ms: i64,
        /// Whether it is told of jumps.
        looks_at_jumps: bool,
        /// Of each turn: when it was taken, in time that has passed, whose it is, and its slot.
        taken: Vec<(i64, MonitorId, i64)>,
    }

    impl Scheduler {
        fn new(looks_at_jumps: bool) -> Self {
            let mut roster = super::super::tests::roster();
            for n in 0..MONITORS {
                roster.apply(monitor(n), 1, START, &registered(n, 10), START).unwrap();
            }
            let begun = Instant::now();
            let clock = Clock::at(START, begun);
            let (passed_ms, ahead_ms, taken) = (0, 0, Vec::new());
            Self { roster, clock, begun, passed_ms, ahead_ms, looks_at_jumps, taken }
        }

        /// Works for a while.
        fn work(mut self, ms: i64) -> Self {
            let until = self.passed_ms + ms;
            while self.passed_ms < until {
                self.passed_ms += STEP_MS;
                let passed = Duration::from_millis(self.passed_ms.unsigned_abs());
                let now_ms = START + self.passed_ms + self.ahead_ms;
                let jump = self.clock.jumped(now_ms, self.begun + passed);
                if let Some(jump) = jump.filter(|_| self.looks_at_jumps) {
                    self.roster.clock_jumped(jump);
                }
                while let Some(turn) = self.roster.take_turn(now_ms, DropReason::SchedulerLate) {
                    let draft = self.roster.jobs(turn).next().unwrap();
                    self.taken.push((self.passed_ms, draft.monitor_id, turn.slot_ms));
                }
            }
            self
        }

        fn jump(mut self, ms: i64) -> Self {
            self.ahead_ms += ms;
            self
        }

        /// The most turns in a step after the first one, in which every monitor is new.
        fn most_at_once(&self) -> usize {
            let mut steps: HashMap<i64, usize> = HashMap::new();
            for (at, ..) in self.taken.iter().filter(|(at, ..)| *at > STEP_MS) {
                *steps.entry(*at).or_default() += 1;
            }
            steps.into_values().max().unwrap_or_default()
        }

        /// The longest time that passed without a turn of some monitor, up to now.
        fn longest_wait_ms(&self) -> i64 {
            let mut newest: HashMap<MonitorId, i64> = HashMap::new();
            let mut longest = 0;
            for (at, monitor, _) in &self.taken {
                let before = newest.insert(*monitor, *at).unwrap_or(*at);
                longest = longest.max(at - before);
            }
            let until_now = newest.values().map(|at| self.passed_ms - at).max();
            longest.max(until_now.unwrap_or(i64::MAX))
        }

        fn is_nothing_twice(&self) -> bool {
            let mut seen = HashSet::new();
            self.taken.iter().all(|(_, monitor, slot)| seen.insert((*monitor, *slot)))
        }
    }

    /// As many turns in a step as chance brings, of 2 in the mean.
    const CALM: usize = 12;

    #[test]
    fn a_clock_that_jumps_ahead_and_comes_back_floods_nobody_and_silences_nothing() {
        for ahead_ms in [2_000, 7_000, 60_000, 3_600_000] {
            let there = |looks| Scheduler::new(looks).work(35_000).jump(ahead_ms).work(25_000);
            let back = there(true).jump(-ahead_ms).work(60_000);
            assert!(back.most_at_once() <= CALM, "{ahead_ms}: {}", back.most_at_once());
            let longest = back.longest_wait_ms();
            assert!(longest <= 2 * INTERVAL_MS + STEP_MS, "{ahead_ms}: {longest} ms");
            // Who has been there comes to the slots of then a second time: Kafka and the recorder know them.
            assert!(there(true).is_nothing_twice(), "{ahead_ms}");
        }
        // The control: who does not look at the clock is found out both ways.
        let hour = Scheduler::new(false).work(35_000).jump(3_600_000).work(25_000);
        assert!(hour.jump(-3_600_000).work(60_000).longest_wait_ms() > 50_000);
        let little = Scheduler::new(false).work(35_000).jump(7_000).work(25_000);
        assert!(little.most_at_once() > 5 * CALM, "{}", little.most_at_once());
    }

    #[test]
    fn a_clock_that_goes_back_silences_nothing() {
        for back_ms in [2_000, 7_000] {
            let back = Scheduler::new(true).work(35_000).jump(-back_ms).work(60_000);
            assert!(back.is_nothing_twice(), "{back_ms}");
            let longest = back.longest_wait_ms();
            assert!(longest <= INTERVAL_MS + back_ms + STEP_MS, "{back_ms}: {longest} ms");
        }
        let back = Scheduler::new(true).work(35_000).jump(-3_600_000).work(60_000);
        assert!(back.longest_wait_ms() <= 2 * INTERVAL_MS + STEP_MS, "{}", back.longest_wait_ms());
        assert!(back.most_at_once() <= CALM, "{}", back.most_at_once());
    }

    #[test]
    fn a_monitor_that_began_when_the_clock_was_ahead_is_checked_within_an_interval() {
        let mut roster = super::super::tests::roster();
        let hour_ms = 3_600_000;
        roster.apply(monitor(1), 1, START + hour_ms, &registered(1, 10), START).unwrap();
        assert!(roster.next_due_ms().unwrap() <= START + INTERVAL_MS);
    }
}
