use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::HealthCommand;
use super::super::record::tests::{policy, result};
use super::*;
use crate::check::{CheckResult, Outcome};
use crate::{Region, timestamp_from_millis};

/// How long results of these tests count: two intervals of a second, and half a second.
const VALID_FOR_MS: i64 = 2_500;

fn record(health: &mut Health, policy: &ObservationPolicy, result: &CheckResult) -> Vec<String> {
    let command = HealthCommand::RecordCheck {
        result: Box::new(result.clone()),
        policy: policy.clone(),
        known_to_be_new: true,
    };
    apply(health, &command)
}

fn silence(health: &mut Health, policy: &ObservationPolicy, at_ms: i64) -> Vec<String> {
    let at = timestamp_from_millis(at_ms);
    apply(
        health,
        &HealthCommand::NoteSilence {
            monitor_id: MonitorId::default(),
            at,
            policy: policy.clone(),
        },
    )
}

/// The names of the events that a command leads to.
fn apply(health: &mut Health, command: &HealthCommand) -> Vec<String> {
    let events = health.decide(command).unwrap_or_default();
    events.iter().for_each(|event| health.apply_event(event));
    events.iter().map(|event| event.name().to_owned()).collect()
}

#[test]
fn a_monitor_whose_results_stopped_to_count_is_unknown_from_then_on() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    record(&mut health, &policy, &result("a", 1, Outcome::Up));
    assert_eq!(silence(&mut health, &policy, 3_499), [""; 0]);
    assert_eq!(silence(&mut health, &policy, 9_000), ["ObservationLost"]);
    assert_eq!(health.status, HealthStatus::Unknown);
    assert_eq!(health.status_since, Some(timestamp_from_millis(3_500)));
    assert_eq!(silence(&mut health, &policy, 9_000), [""; 0], "twice is once");
    let back = record(&mut health, &policy, &result("a", 20, Outcome::Up));
    assert_eq!(back, ["ObservationRegained", "CheckCompleted"]);
    assert_eq!(health.status, HealthStatus::Up);
    assert_eq!(health.status_since, Some(timestamp_from_millis(20_000)));
}

#[test]
fn a_silence_that_was_noticed_late_changes_nothing_once_a_result_was_seen() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    for slot in 1..4 {
        record(&mut health, &policy, &result("a", slot, Outcome::Up));
    }
    let before = health.clone();
    assert_eq!(silence(&mut health, &policy, 1_000 + VALID_FOR_MS), [""; 0]);
    assert_eq!(health, before);
}

#[test]
fn one_region_that_falls_silent_loses_its_vote_and_not_the_observation() {
    let (mut health, policy) = (Health::default(), policy(&["a", "b", "c"], 1));
    record(&mut health, &policy, &result("a", 1, Outcome::Up));
    record(&mut health, &policy, &result("b", 4, Outcome::Up));
    assert_eq!(silence(&mut health, &policy, 4_000), [""; 0]);
    assert_eq!(silence(&mut health, &policy, 6_500), ["ObservationLost"]);
}

#[test]
fn a_monitor_that_was_never_seen_is_unknown_when_its_first_result_is_overdue() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    assert_eq!(silence(&mut health, &policy, 7_000), ["ObservationLost"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(7_000)));
    let first = record(&mut health, &policy, &result("a", 9, Outcome::Down));
    assert_eq!(first, ["ObservationRegained", "CheckCompleted", "WentDown"]);
}

#[test]
fn an_outage_goes_on_through_a_silence() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    record(&mut health, &policy, &result("a", 1, Outcome::Down));
    silence(&mut health, &policy, 3_500);
    let still = record(&mut health, &policy, &result("a", 9, Outcome::Down));
    assert_eq!(still, ["ObservationRegained", "CheckCompleted"], "nobody is told twice");
    assert_eq!(health.status_since, Some(timestamp_from_millis(1_000)));
    silence(&mut health, &policy, 20_000);
    let over = record(&mut health, &policy, &result("a", 30, Outcome::Up));
    assert_eq!(over, ["ObservationRegained", "CheckCompleted", "Recovered"]);
}

#[test]
fn the_next_result_notices_a_silence_that_nobody_told() {
    let (mut health, policy) = (Health::default(), policy(&["a", "b"], 1));
    record(&mut health, &policy, &result("a", 1, Outcome::Up));
    let back = record(&mut health, &policy, &result("b", 60, Outcome::Up));
    assert_eq!(back, ["ObservationLost", "ObservationRegained", "CheckCompleted"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(60_000)));
}

#[test]
fn a_longer_interval_is_no_silence() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    record(&mut health, &policy, &result("a", 1, Outcome::Up));
    let changed = CheckResult { config_version: 2, ..result("a", 60, Outcome::Up) };
    assert_eq!(record(&mut health, &policy, &changed), ["CheckCompleted"]);
}

#[test]
fn what_the_shield_refused_keeps_nothing_known() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    record(&mut health, &policy, &result("a", 1, Outcome::Up));
    record(&mut health, &policy, &result("a", 4, Outcome::Blocked));
    assert_eq!(silence(&mut health, &policy, 4_000), ["ObservationLost"]);
    assert_eq!(record(&mut health, &policy, &result("a", 5, Outcome::Blocked)), ["CheckCompleted"]);
    assert_eq!(health.status, HealthStatus::Unknown);
}

#[test]
fn a_late_result_of_before_the_silence_does_not_end_it() {
    let (mut health, policy) = (Health::default(), policy(&["a"], 1));
    record(&mut health, &policy, &result("a", 5, Outcome::Up));
    silence(&mut health, &policy, 9_000);
    assert_eq!(record(&mut health, &policy, &result("a", 4, Outcome::Up)), ["CheckCompleted"]);
    assert_eq!(health.status, HealthStatus::Unknown);
}

#[test]
fn nothing_is_lost_of_a_monitor_that_is_paused_or_archived() {
    let running = policy(&["a"], 1);
    let mut health = Health::default();
    record(&mut health, &running, &result("a", 1, Outcome::Up));
    let paused = ObservationPolicy { paused: true, monitor_version: 2, ..running.clone() };
    assert_eq!(silence(&mut health, &paused, 9_000), [""; 0]);
    let archived = ObservationPolicy { archived: true, ..running.clone() };
    assert_eq!(silence(&mut health, &archived, 9_000), [""; 0]);
    // Resumed, and silent again: since the pause is over, not since before it.
    record(&mut health, &paused, &result("a", 3, Outcome::Up));
    assert_eq!(silence(&mut health, &running, 60_000), ["ObservationLost"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(60_000)));
    let back = record(&mut health, &running, &result("a", 70, Outcome::Up));
    assert_eq!(back, ["ObservationResumed", "CheckCompleted"]);
    assert_eq!((health.status, health.before_loss), (HealthStatus::Up, None));
}

/// What somebody could ask of a health, in any order.
#[derive(Clone, Debug)]
enum Step {
    Result { region: &'static str, slot: i64, outcome: Outcome },
    Silence { at_ms: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop::sample::select(vec![Outcome::Up, Outcome::Down, Outcome::Blocked]);
    let region = prop::sample::select(vec!["a", "b", "c", "d"]);
    let step = prop_oneof![
        (region, 0..40_i64, outcome).prop_map(|(region, slot, outcome)| Step::Result {
            region,
            slot,
            outcome
        }),
        (0..45_000_i64).prop_map(|at_ms| Step::Silence { at_ms }),
    ];
    prop::collection::vec(step, 1..60)
}

/// When the newest results of the regions that vote stop to count, kept apart from the aggregate.
#[derive(Default)]
struct Model(BTreeMap<Region, i64>);

impl Model {
    fn see(&mut self, result: &CheckResult, policy: &ObservationPolicy, valid_for_ms: i64) {
        if result.outcome != Outcome::Blocked && policy.regions.contains(&result.region) {
            let expires = self.0.entry(result.region.clone()).or_insert(i64::MIN);
            *expires = (*expires).max(result.slot_ms() + valid_for_ms);
        }
    }

    fn is_silent_at(&self, at_ms: i64) -> bool {
        self.0.values().all(|expires| *expires <= at_ms)
    }
}

/// Takes the steps, and says at which one the aggregate is not what the model says; none where it is.
/// Results count for `valid_for_ms` in the aggregate.
fn first_fault(steps: &[Step], valid_for_ms: i64) -> Option<String> {
    let policy = policy(&["a", "b", "c"], 1);
    let (mut health, mut model, mut log) = (Health::default(), Model::default(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        let before = health.clone();
        let command = match step {
            Step::Result { region, slot, outcome } => {
                let result = CheckResult { valid_for_ms, ..result(region, *slot, *outcome) };
                HealthCommand::RecordCheck {
                    result: Box::new(result),
                    policy: policy.clone(),
                    known_to_be_new: false,
                }
            }
            Step::Silence { at_ms } => HealthCommand::NoteSilence {
                monitor_id: MonitorId::default(),
                at: timestamp_from_millis(*at_ms),
                policy: policy.clone(),
            },
        };
        let events = health.decide(&command).unwrap_or_default();
        for event in &events {
            // Not of one that is the second of its slot.
            if let HealthEvent::CheckCompleted(result) = event {
                model.see(result, &policy, VALID_FOR_MS);
            }
            health.apply_event(event);
        }
        log.extend(events.clone());
        let says = |what: &str| Some(format!("step {number}, {step:?}: {what}"));
        if let Step::Silence { at_ms } = step {
            let unknown = health.status == HealthStatus::Unknown;
            let was_unknown = before.status == HealthStatus::Unknown;
            if unknown != (was_unknown || model.is_silent_at(*at_ms)) {
                return says("the status is not what the results tell");
            }
            if events.len() > 1 || (was_unknown && !events.is_empty()) {
                return says("one silence was told twice");
            }
        }
        let status_after = health.clone();
        if health.decide(&command).is_ok_and(|again| !again.is_empty()) {
            return says("the same again changes something");
        }
        let mut replayed = Health::default();
        log.iter().for_each(|event| replayed.apply_event(event));
        if replayed != status_after {
            return says("the log leads to another state");
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_silence_is_told_once_and_exactly_where_no_result_counts(steps in steps()) {
        prop_assert_eq!(first_fault(&steps, VALID_FOR_MS), None);
    }
}

/// The positive control: were results to count for ever, the same check would say so.
#[test]
fn results_that_never_age_are_found_out() {
    let steps = [
        Step::Result { region: "a", slot: 1, outcome: Outcome::Up },
        Step::Silence { at_ms: 30_000 },
    ];
    assert_eq!(first_fault(&steps, VALID_FOR_MS), None);
    assert!(first_fault(&steps, i64::from(u32::MAX)).is_some());
}
