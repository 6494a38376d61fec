use pulsetrail_domain::slot::phase_ms;
use pulsetrail_infra::messages::Job;
use uuid::Uuid;

use super::super::template::tests::config;
use super::*;

pub(in super::super) const START: i64 = 1_700_000_000_000;

pub(in super::super) fn monitor(n: u128) -> MonitorId {
    MonitorId(Uuid::from_u128(n * 0x9E37_79B9_7F4A_7C15))
}

pub(in super::super) fn registered(n: u128, interval_seconds: u32) -> MonitorEvent {
    MonitorEvent::MonitorRegistered {
        monitor_id: monitor(n),
        organization_id: OrganizationId::default(),
        config: Box::new(config("http://example.com", interval_seconds)),
    }
}

pub(in super::super) fn roster() -> Roster {
    Roster::new(&[Region::default()], START)
}

/// Takes every turn up to `now` and returns the slots.
pub(in super::super) fn turns(roster: &mut Roster, now: i64) -> Vec<i64> {
    let turns = std::iter::from_fn(|| roster.take_turn(now, DropReason::SchedulerLate));
    turns.map(|turn| turn.slot_ms).collect()
}

/// Lets the clock run second by second and returns every slot that was taken.
fn run(roster: &mut Roster, from: i64, to: i64) -> Vec<i64> {
    (from..=to).step_by(1_000).flat_map(|now| turns(roster, now)).collect()
}

#[test]
fn a_new_monitor_is_checked_at_once_and_then_at_its_slots() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 60), START + 5).unwrap();
    assert_eq!(turns(&mut roster, START + 5), [START]);
    let slots = run(&mut roster, START, START + 200_000);
    assert!(slots.len() >= 3);
    for slot in &slots {
        assert_eq!(slot.rem_euclid(60_000), phase_ms(monitor(1), 60_000));
    }
    assert!(slots.windows(2).all(|pair| pair[1] - pair[0] == 60_000));
}

#[test]
fn a_paused_monitor_is_not_checked_and_a_resumed_one_at_once() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 5), START).unwrap();
    assert_eq!(turns(&mut roster, START), [START]);
    roster.apply(monitor(1), 2, START + 1, &MonitorEvent::MonitorPaused {}, START + 1).unwrap();
    assert_eq!(roster.active(), 0);
    assert_eq!(run(&mut roster, START, START + 60_000), [0_i64; 0]);
    let resumed_at = START + 60_001;
    roster.apply(monitor(1), 3, resumed_at, &MonitorEvent::MonitorResumed {}, resumed_at).unwrap();
    let turn = roster.take_turn(resumed_at, DropReason::SchedulerLate).unwrap();
    assert_eq!(turn.slot_ms, resumed_at);
    let drafts: Vec<JobDraft> = roster.jobs(turn).collect();
    let job: Job = serde_json::from_str(&drafts[0].json).unwrap();
    assert_eq!(job.config_version, 3);
    assert_eq!(roster.active(), 1);
}

#[test]
fn an_archived_monitor_is_never_checked_again() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 5), START).unwrap();
    roster.apply(monitor(1), 2, START, &MonitorEvent::MonitorArchived {}, START).unwrap();
    // Its place is taken by another, whom its old turn must not become.
    roster.apply(monitor(2), 1, START + 1, &registered(2, 60), START + 1).unwrap();
    assert_eq!(turns(&mut roster, START + 1), [START + 1]);
    assert_eq!(roster.active(), 1);
    roster.apply(monitor(1), 3, START, &MonitorEvent::MonitorResumed {}, START).unwrap();
    assert_eq!(roster.active(), 1);
}

#[test]
fn a_changed_interval_holds_from_the_next_slot_on() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 3_600), START).unwrap();
    let changed = MonitorEvent::MonitorReconfigured {
        config: Box::new(config("http://example.com/new", 10)),
    };
    // Both come before the first turn was taken: it is not lost.
    roster.apply(monitor(1), 2, START, &changed, START).unwrap();
    assert_eq!(turns(&mut roster, START), [START]);
    let slots = run(&mut roster, START, START + 30_000);
    assert_eq!(slots.len(), 3, "{slots:?}");
    let back =
        MonitorEvent::MonitorReconfigured { config: Box::new(config("http://example.com", 20)) };
    roster.apply(monitor(1), 3, START + 30_500, &back, START + 30_500).unwrap();
    let slots = run(&mut roster, START + 31_000, START + 91_000);
    assert_eq!(slots.len(), 3, "{slots:?}");
    assert!(slots.iter().all(|slot| slot.rem_euclid(20_000) == phase_ms(monitor(1), 20_000)));
}

#[test]
fn a_scheduler_that_was_held_up_makes_what_is_in_time_and_counts_the_rest() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 2), START).unwrap();
    assert_eq!(turns(&mut roster, START), [START]);
    // Held up for less than an interval: the turn is late, and none is lost.
    let next = next_slot_ms(monitor(1), 2_000, START);
    assert_eq!(turns(&mut roster, next + 1_999), [next]);
    assert_eq!(roster.drops.total(), 0);
    // Ten slots came due; the check of the last one may still begin.
    let late = turns(&mut roster, next + 20_001);
    assert_eq!(late, [next + 20_000]);
    assert_eq!(roster.drops.total(), 9);
    assert_eq!(turns(&mut roster, next + 22_000), [next + 22_000]);
    assert_eq!(roster.drops.total(), 9);
}

#[test]
fn a_turn_that_came_before_its_monitor_changed_is_taken_before_the_change() {
    let changes = [
        MonitorEvent::MonitorPaused {},
        MonitorEvent::MonitorArchived {},
        MonitorEvent::MonitorReconfigured { config: Box::new(config("http://other.example", 7)) },
    ];
    for change in changes {
        let mut roster = roster();
        roster.apply(monitor(1), 1, START, &registered(1, 60), START).unwrap();
        let at = |changed_ms| (monitor(1), changed_ms);
        let before = roster.take_turn_before(at(START - 1), START + 5, DropReason::SchedulerLate);
        assert_eq!(before, None, "the change came before the turn");
        let turn = roster.take_turn_before(at(START), START + 5, DropReason::SchedulerLate);
        let draft = roster.jobs(turn.unwrap()).next().unwrap();
        assert!(draft.json.contains("http://example.com"), "{}", draft.json);
        roster.apply(monitor(1), 2, START, &change, START + 5).unwrap();
        assert_eq!(turns(&mut roster, START + 5), [0_i64; 0]);
    }
}

#[test]
fn the_slots_of_a_new_interval_begin_at_the_change_however_late_it_comes() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 3_600), START).unwrap();
    assert_eq!(turns(&mut roster, START), [START]);
    let changed =
        MonitorEvent::MonitorReconfigured { config: Box::new(config("http://example.com", 10)) };
    let first = next_slot_ms(monitor(1), 10_000, START);
    // The event comes after the first slot of the new interval.
    roster.apply(monitor(1), 2, START, &changed, first + 3_000).unwrap();
    assert_eq!(turns(&mut roster, first + 3_000), [first]);
    // One that leaves the interval as it is makes no slot again.
    roster.apply(monitor(1), 3, START + 1, &changed, first + 3_500).unwrap();
    assert_eq!(turns(&mut roster, first + 3_500), [0_i64; 0]);
}

#[test]
fn a_region_that_the_installation_does_not_have_is_counted_at_each_slot() {
    let mut roster = Roster::new(&[], START);
    roster.apply(monitor(1), 1, START, &registered(1, 10), START).unwrap();
    turns(&mut roster, START);
    assert_eq!(roster.drops.total(), 1);
}

#[test]
fn stale_due_times_do_not_pile_up() {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 86_400), START).unwrap();
    for turn in 0..10_000_i64 {
        let seconds = 86_400 - u32::try_from(turn % 2).unwrap();
        let changed = MonitorEvent::MonitorReconfigured {
            config: Box::new(config("http://example.com", seconds)),
        };
        turns(&mut roster, START + turn);
        roster.apply(monitor(1), 2 + turn, START, &changed, START + turn).unwrap();
    }
    assert!(roster.due.len() < 2_000, "{}", roster.due.len());
}
