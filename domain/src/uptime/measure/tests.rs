use super::super::Status::{self, Archived, Down, Paused, Pending, Unknown, Up};
use super::*;

/// Transitions at the given moments, in the order of their positions; each may be reached back over.
fn history(changes: &[(i64, Status)]) -> Vec<Transition> {
    let unsettled = |(at, status): &(i64, Status)| Transition {
        at: *at,
        status: *status,
        settled_at: i64::MIN,
        cause: (),
    };
    changes.iter().map(unsettled).collect()
}

fn durations(transitions: &[Transition], from: i64, to: i64) -> Durations {
    let corrections = Corrections::default();
    let borders = if from < to { vec![from, to] } else { vec![from] };
    let buckets = measure(transitions.iter().copied(), &corrections, &borders);
    buckets.into_iter().fold(Durations::default(), Durations::plus)
}

/// up, down, paused, unknown, outages within 100..200.
fn within(changes: &[(i64, Status)]) -> (i128, i128, i128, i128, u64) {
    let found = durations(&history(changes), 100, 200);
    assert_eq!(found.up + found.down + found.paused + found.unknown, 100);
    (found.up, found.down, found.paused, found.unknown, found.outages)
}

#[test]
fn nothing_is_known_of_a_monitor_without_transitions() {
    assert_eq!(within(&[]), (0, 0, 0, 100, 0));
    assert_eq!(durations(&[], 100, 200).uptime_ratio(), None);
}

#[test]
fn a_pending_monitor_is_unknown_until_its_first_success() {
    assert_eq!(within(&[(50, Pending)]), (0, 0, 0, 100, 0));
    assert_eq!(within(&[(120, Pending), (150, Up)]), (50, 0, 0, 50, 0));
    let durations = durations(&history(&[(120, Pending), (150, Up)]), 100, 200);
    assert_eq!(durations.uptime_ratio(), Some(1.0));
}

#[test]
fn an_outage_across_the_start_of_the_window_counts_from_there() {
    assert_eq!(within(&[(10, Up), (50, Down), (120, Up)]), (80, 20, 0, 0, 1));
}

#[test]
fn an_outage_that_ended_when_the_window_begins_does_not_count() {
    assert_eq!(within(&[(10, Up), (50, Down), (100, Up)]), (100, 0, 0, 0, 0));
}

#[test]
fn an_outage_that_begins_when_the_window_ends_does_not_count() {
    assert_eq!(within(&[(10, Up), (200, Down)]), (100, 0, 0, 0, 0));
    assert_eq!(within(&[(10, Up), (199, Down)]), (99, 1, 0, 0, 1));
}

#[test]
fn an_outage_that_was_found_out_later_reaches_back() {
    // Up at 140 by another region's result; down since 130 all the same.
    assert_eq!(within(&[(10, Pending), (140, Up), (130, Down)]), (0, 70, 0, 30, 1));
    // It lies before the window, and what was thought within the window no longer holds.
    assert_eq!(within(&[(10, Up), (150, Up), (90, Down)]), (0, 100, 0, 0, 1));
}

#[test]
fn paused_time_is_neither_up_nor_down() {
    let changes = [(10, Up), (120, Paused), (150, Pending), (160, Up)];
    assert_eq!(within(&changes), (60, 0, 30, 10, 0));
}

#[test]
fn a_pause_in_an_outage_makes_two_of_it() {
    let changes = [(10, Down), (120, Paused), (150, Pending), (160, Down)];
    assert_eq!(within(&changes), (0, 60, 30, 10, 2));
}

#[test]
fn an_outage_that_is_told_twice_is_one() {
    assert_eq!(within(&[(110, Down), (120, Down), (130, Up)]), (70, 20, 0, 10, 1));
}

#[test]
fn nothing_is_known_without_results_and_after_the_archiving() {
    assert_eq!(within(&[(10, Up), (130, Unknown), (140, Up)]), (90, 0, 0, 10, 0));
    assert_eq!(within(&[(10, Up), (130, Archived)]), (30, 0, 0, 70, 0));
}

#[test]
fn an_empty_window_has_no_durations() {
    let changes = history(&[(10, Up)]);
    assert_eq!(durations(&changes, 100, 100), Durations::default());
    assert_eq!(durations(&changes, 100, 100).uptime_ratio(), None);
}

#[test]
fn the_longest_window_of_many_monitors_adds_up() {
    let longest = durations(&history(&[(0, Up)]), i64::MIN, i64::MAX);
    let many = (0..100_000).fold(Durations::default(), |total, _| total.plus(longest));
    assert_eq!(many.up, i128::from(i64::MAX) * 100_000);
    assert_eq!(many.unknown, -i128::from(i64::MIN) * 100_000);
}

#[test]
fn the_ratio_is_weighted_by_time() {
    let changes = history(&[(0, Up), (175, Down)]);
    assert_eq!(durations(&changes, 100, 200).uptime_ratio(), Some(0.75));
}

#[test]
fn a_million_transitions_leave_a_few_to_be_remembered() {
    let (corrections, borders) = (Corrections::default(), [0, 10_000_000]);
    let mut measure = Measure::new(&corrections, &borders);
    for outage in 0..500_000 {
        let recovered_at = outage * 20;
        let up = Transition { at: recovered_at, status: Up, settled_at: recovered_at, cause: () };
        measure.push(up);
        measure.push(Transition { at: recovered_at + 10, status: Down, ..up });
        assert!(measure.fold.remembered() <= 1, "{}", measure.fold.remembered());
    }
    let [found] = measure.finish()[..] else { panic!("one bucket") };
    assert_eq!((found.up, found.down, found.outages), (5_000_000, 5_000_000, 500_000));
}

#[test]
fn an_outage_over_a_border_counts_where_it_begins() {
    let changes = history(&[(0, Up), (90, Down), (230, Up)]);
    let buckets = measure(changes, &Corrections::default(), &[50, 100, 200, 300]);
    let figures = buckets.iter().map(|bucket| (bucket.up, bucket.down, bucket.outages));
    assert_eq!(figures.collect::<Vec<_>>(), [(40, 10, 1), (0, 100, 0), (70, 30, 0)]);
}
