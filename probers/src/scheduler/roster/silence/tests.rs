use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::monitor::MonitorEvent;

use pulsetrail_infra::vitals::DropReason;

use super::super::super::overdue::Jump;
use super::super::tests::{START, monitor, registered, roster, turns};
use super::*;

/// How long a result of a monitor with an interval of 10 s counts, in ms.
const VALID_FOR_MS: i64 = 20_900;

/// Takes every silence up to `now`: the monitors, and since when.
fn silences(roster: &mut Roster, now: i64) -> Vec<(MonitorId, i64)> {
    turns(roster, now);
    let taken = std::iter::from_fn(|| roster.take_silence(now));
    taken.map(|silence| (silence.monitor_id, silence.at_ms)).collect()
}

/// Lets the clock run second by second; each turn has its result a second later, or none.
fn run(roster: &mut Roster, from: i64, to: i64, answers: bool) -> Vec<(MonitorId, i64)> {
    let mut silent = Vec::new();
    for now in (from..=to).step_by(1_000) {
        for turn in std::iter::from_fn(|| roster.take_turn(now, DropReason::SchedulerLate))
            .collect::<Vec<_>>()
        {
            let drafts: Vec<_> = roster.jobs(turn).map(|draft| draft.monitor_id).collect();
            for monitor_id in drafts.into_iter().filter(|_| answers) {
                roster.seen(monitor_id, turn.slot_ms + VALID_FOR_MS, now);
            }
        }
        let taken = std::iter::from_fn(|| roster.take_silence(now));
        silent.extend(taken.map(|silence| (silence.monitor_id, silence.at_ms)));
    }
    silent
}

#[test]
fn a_monitor_with_results_is_never_silent_and_one_without_is_told_once() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 10), START).unwrap();
    assert_eq!(run(&mut roster, START, START + 300_000, true), []);
    assert!(roster.overdue_len() == 0, "a monitor that is well costs nothing");
    let silent = run(&mut roster, START + 300_000, START + 600_000, false);
    assert_eq!(silent.len(), 1, "{silent:?}");
    let last_result = silent[0].1 - VALID_FOR_MS;
    assert!((START + 290_000..=START + 301_000).contains(&last_result), "{silent:?}");
    // It comes back, and falls silent once more.
    assert_eq!(run(&mut roster, START + 600_000, START + 700_000, true), []);
    assert_eq!(run(&mut roster, START + 700_000, START + 900_000, false).len(), 1);
}

#[test]
fn the_first_result_can_be_overdue_too() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 10), START).unwrap();
    assert_eq!(silences(&mut roster, START + VALID_FOR_MS - 1), []);
    let overdue = silences(&mut roster, START + 21_000);
    assert_eq!(overdue, [(monitor(1), START + 21_000)]);
}

#[test]
fn paused_archived_and_lost_monitors_are_told_of_no_more() {
    let mut roster = roster();
    let later = START + 60_000;
    for n in 1..=3 {
        roster.apply(monitor(n), 1, START, &registered(n, 10), START).unwrap();
    }
    roster.apply(monitor(1), 2, START, &MonitorEvent::MonitorPaused {}, START).unwrap();
    roster.apply(monitor(2), 2, START, &MonitorEvent::MonitorArchived {}, START).unwrap();
    roster.lost(monitor(3));
    assert_eq!(silences(&mut roster, later), []);
    // From the resume on, a result is expected again.
    roster.apply(monitor(1), 3, later, &MonitorEvent::MonitorResumed {}, later).unwrap();
    assert_eq!(silences(&mut roster, later + VALID_FOR_MS - 1), []);
    assert_eq!(silences(&mut roster, later + 21_000).len(), 1);
}

#[test]
fn a_scheduler_that_comes_back_gives_everybody_the_time_for_a_result() {
    let mut roster = Roster::new(&[pulsetrail_domain::Region::default()], START);
    let config = super::super::super::template::tests::config("http://example.com", 10);
    for n in 0..100 {
        let listed = super::super::Listed {
            monitor_id: monitor(n),
            organization_id: OrganizationId::default(),
            config: &config,
            version: 1,
            paused: false,
            first_ms: START,
        };
        roster.list(listed, START).unwrap();
    }
    for now in (START..START + VALID_FOR_MS).step_by(1_000) {
        assert_eq!(silences(&mut roster, now), []);
    }
    assert_eq!(silences(&mut roster, START + 21_000).len(), 100);
}

#[test]
fn a_clock_that_jumps_makes_nobody_silent() {
    let mut roster = roster();
    for n in 0..100 {
        roster.apply(monitor(n), 1, START, &registered(n, 10), START).unwrap();
    }
    assert_eq!(run(&mut roster, START, START + 60_000, true), []);
    let hour = START + 3_600_000;
    for (expected_ms, now) in [(START + 60_000, hour), (hour + 120_000, START + 60_000)] {
        roster.clock_jumped(Jump { expected_ms, now_ms: now });
        assert_eq!(silences(&mut roster, now), [], "nobody at once");
        assert_eq!(run(&mut roster, now, now + 120_000, true), [], "and nobody later");
    }
    // Their newest results are of slots ahead: once those are past, silence is noticed again.
    let silent = run(&mut roster, START + 180_000, START + 3_800_000, false);
    assert_eq!(silent.len(), 100);
}

/// The control: without looking anew after the jump, everybody is called silent.
#[test]
fn a_jump_that_goes_unnoticed_would_make_everybody_silent() {
    let mut roster = roster();
    for n in 0..100 {
        roster.apply(monitor(n), 1, START, &registered(n, 10), START).unwrap();
    }
    run(&mut roster, START, START + 60_000, true);
    assert_eq!(silences(&mut roster, START + 3_600_000).len(), 100);
}

#[test]
fn late_results_do_not_pile_up() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 10), START).unwrap();
    for _ in 0..10_000 {
        roster.seen(monitor(1), START + 5_000, START + 9_000);
    }
    assert!(roster.overdue_len() < 10, "{}", roster.overdue_len());
}
