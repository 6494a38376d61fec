//! The sums against an oracle that applies the definition to each moment by itself.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::Status::{Archived, Down, Paused, Pending, Unknown, Up};
use super::*;

/// A history of a monitor over 60 moments, with what people said about it.
#[derive(Clone, Debug)]
struct History {
    /// In the order of positions, each with the moment that no later one reaches back before.
    transitions: Vec<Transition>,
    excluded: Vec<(i64, i64)>,
    false_alarms: Vec<(i64, i64)>,
    borders: Vec<i64>,
}

fn histories() -> impl Strategy<Value = History> {
    let status = prop::sample::select(vec![Pending, Up, Down, Unknown, Paused, Archived]);
    let change = (0..60_i64, status, any::<bool>());
    let spans = || prop::collection::vec((0..60_i64, 0..60_i64), 0..4);
    let borders = prop::collection::btree_set(0..60_i64, 2..8);
    (prop::collection::vec(change, 0..16), spans(), spans(), borders).prop_map(
        |(changes, excluded, false_alarms, borders)| {
            let mut settled_at = i64::MIN;
            let transitions = changes.into_iter().map(|(at, status, settles)| {
                let at = at.max(settled_at);
                settled_at = if settles { at } else { settled_at };
                Transition { at, status, settled_at, cause: () }
            });
            let transitions = transitions.collect();
            let borders = borders.into_iter().collect();
            History { transitions, excluded, false_alarms, borders }
        },
    )
}

/// What decides at a moment, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Pause,
    Exclusion,
    FalseAlarm,
}

const RULES: [Rule; 3] = [Rule::Pause, Rule::Exclusion, Rule::FalseAlarm];

fn oracle(history: &History, rules: &[Rule]) -> Vec<Durations> {
    let lies_in = |spans: &[(i64, i64)], moment: i64| {
        spans.iter().any(|(from, to)| (*from..*to).contains(&moment))
    };
    let counts_as = |moment: i64| {
        let holds = history.transitions.iter().rfind(|transition| transition.at <= moment);
        let status = holds.map(|transition| transition.status);
        for rule in rules {
            match rule {
                Rule::Pause if status == Some(Paused) => return "paused",
                Rule::Exclusion if lies_in(&history.excluded, moment) => return "excluded",
                Rule::FalseAlarm if lies_in(&history.false_alarms, moment) => return "up",
                _ => {}
            }
        }
        match status {
            Some(Up) => "up",
            Some(Down) => "down",
            Some(Paused) => "paused",
            _ => "unknown",
        }
    };
    let first = history.borders[0];
    let buckets = history.borders.windows(2).map(|ends| {
        let mut bucket = Durations::default();
        for moment in ends[0]..ends[1] {
            match counts_as(moment) {
                "up" => bucket.up += 1,
                "paused" => bucket.paused += 1,
                "excluded" => bucket.excluded += 1,
                "unknown" => bucket.unknown += 1,
                _ => {
                    bucket.down += 1;
                    let begins = moment == first || counts_as(moment - 1) != "down";
                    bucket.outages += u64::from(begins);
                }
            }
        }
        bucket
    });
    buckets.collect()
}

fn corrections(history: &History) -> Corrections {
    Corrections {
        excluded: history.excluded.iter().copied().collect(),
        false_alarms: history.false_alarms.iter().copied().collect(),
    }
}

fn measured(history: &History) -> Vec<Durations> {
    measure(history.transitions.iter().copied(), &corrections(history), &history.borders)
}

/// Whether the oracle with these rules says of every history what was measured.
fn agrees(rules: &[Rule]) -> bool {
    let mut runner = TestRunner::deterministic();
    let result = runner.run(&histories(), |history| {
        prop_assert_eq!(measured(&history), oracle(&history, rules));
        Ok(())
    });
    match result {
        Ok(()) => true,
        Err(TestError::Fail(..)) => false,
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_sums_are_those_of_the_definition(history in histories()) {
        prop_assert_eq!(measured(&history), oracle(&history, &RULES));
    }

    #[test]
    fn buckets_add_up_to_the_window_and_no_figure_leaves_its_range(history in histories()) {
        let (first, last) = (history.borders[0], history.borders[history.borders.len() - 1]);
        let total = measured(&history).into_iter().fold(Durations::default(), Durations::plus);
        let whole = History { borders: vec![first, last], ..history };
        prop_assert_eq!(vec![total], measured(&whole));
        let sum = total.up + total.down + total.paused + total.excluded + total.unknown;
        prop_assert_eq!(sum, i128::from(last - first));
        for ratio in [total.uptime_ratio(), total.coverage()].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&ratio));
        }
        let is_whole = total.uptime_percent().as_deref() == Some("100.000");
        prop_assert_eq!(is_whole, total.down == 0 && total.up > 0);
    }

    #[test]
    fn outages_last_as_long_as_the_monitor_was_down(history in histories()) {
        let corrections = corrections(&history);
        let mut outages = Outages::new(&corrections, 60);
        let mut found = Vec::new();
        for transition in &history.transitions {
            outages.push(*transition, |outage| found.push(outage));
        }
        outages.finish(|outage| found.push(outage));
        let down: i64 =
            found.iter().map(|outage| outage.ended_at.unwrap_or(60) - outage.started_at).sum();
        let [total] = measured(&History { borders: vec![0, 60], ..history.clone() })[..] else {
            panic!("one bucket");
        };
        prop_assert_eq!((i128::from(down), found.len() as u64), (total.down, total.outages));
    }
}

/// The control: an oracle with one rule missing, or two of them in another order, is found out.
#[test]
fn a_broken_oracle_is_found_out() {
    use Rule::{Exclusion, FalseAlarm, Pause};
    assert!(agrees(&RULES));
    let broken: [&[Rule]; 5] = [
        &[Pause, Exclusion],
        &[Pause, FalseAlarm],
        &[Exclusion, FalseAlarm],
        &[Exclusion, Pause, FalseAlarm],
        &[Pause, FalseAlarm, Exclusion],
    ];
    for rules in broken {
        assert!(!agrees(rules));
    }
}
