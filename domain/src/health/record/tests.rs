use uuid::Uuid;

use super::super::{Health, HealthCommand, HealthError, HealthEvent, HealthStatus};
use super::*;
use crate::check::TimingsUs;
use crate::slot::scheduled_check_id;
use crate::{CheckId, MonitorId, Region, timestamp_from_millis};

const INTERVAL_MS: i64 = 1_000;

pub(in super::super) fn policy(regions: &[&str], confirmations: u32) -> ObservationPolicy {
    ObservationPolicy {
        monitor_version: 1,
        confirmations,
        quorum: u32::try_from(regions.len() / 2 + 1).unwrap(),
        regions: regions.iter().map(|name| name.parse().unwrap()).collect(),
        paused: false,
        archived: false,
        heartbeat: None,
    }
}

pub(in super::super) fn result(region: &str, slot: i64, outcome: Outcome) -> CheckResult {
    let region: Region = region.parse().unwrap();
    let slot_ms = slot * INTERVAL_MS;
    CheckResult {
        check_id: scheduled_check_id(MonitorId(Uuid::from_u128(7)), &region, slot_ms),
        region,
        scheduled_at: timestamp_from_millis(slot_ms),
        started_at: timestamp_from_millis(slot_ms + 3),
        outcome,
        http_status: None,
        failure: (outcome == Outcome::Down).then(|| Failure {
            cause: FailureCause::ConnectRefused,
            detail: format!("refused in slot {slot}"),
        }),
        timings_us: TimingsUs::default(),
        attempts: 1,
        config_version: 1,
        valid_for_ms: 2 * INTERVAL_MS + 500,
        findings: None,
    }
}

/// Feeds results in and returns the names of the events besides `CheckCompleted`, with their slot.
fn run(health: &mut Health, policy: &ObservationPolicy, results: &[CheckResult]) -> Vec<String> {
    let mut changes = Vec::new();
    for result in results {
        let command = HealthCommand::RecordCheck {
            result: Box::new(result.clone()),
            policy: policy.clone(),
            known_to_be_new: false,
        };
        for event in health.decide(&command).unwrap() {
            health.apply_event(&event);
            if !matches!(event, HealthEvent::CheckCompleted(_)) {
                changes.push(format!("{}@{}", event.name(), result.slot_ms() / INTERVAL_MS));
            }
        }
    }
    changes
}

#[test]
fn the_first_success_makes_a_pending_monitor_up_with_no_event_of_its_own() {
    let mut health = Health::default();
    let changes = run(&mut health, &policy(&["a"], 1), &[result("a", 1, Outcome::Up)]);
    assert_eq!(changes, Vec::<String>::new());
    assert_eq!((health.status, health.version), (HealthStatus::Up, 1));
    assert_eq!(health.status_since, Some(timestamp_from_millis(1_000)));
}

#[test]
fn down_begins_at_the_first_failure_of_the_run_and_ends_at_the_first_success() {
    let mut health = Health::default();
    let results = [
        result("a", 1, Outcome::Up),
        result("a", 2, Outcome::Down),
        result("a", 3, Outcome::Down),
        result("a", 4, Outcome::Down),
        result("a", 5, Outcome::Up),
    ];
    let changes = run(&mut health, &policy(&["a"], 2), &results[..4]);
    assert_eq!(changes, ["WentDown@3"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(2_000)));
    let changes = run(&mut health, &policy(&["a"], 2), &results[4..]);
    assert_eq!(changes, ["Recovered@5"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(5_000)));
}

#[test]
fn a_success_between_failures_starts_the_run_anew() {
    let mut health = Health::default();
    let outcomes = [Outcome::Down, Outcome::Up, Outcome::Down, Outcome::Down];
    let results: Vec<_> = (1..).zip(outcomes).map(|(slot, o)| result("a", slot, o)).collect();
    assert_eq!(run(&mut health, &policy(&["a"], 2), &results), ["WentDown@4"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(3_000)));
}

#[test]
fn what_the_shield_refused_neither_counts_nor_resets() {
    let mut health = Health::default();
    let outcomes = [Outcome::Down, Outcome::Blocked, Outcome::Down];
    let results: Vec<_> = (1..).zip(outcomes).map(|(slot, o)| result("a", slot, o)).collect();
    assert_eq!(run(&mut health, &policy(&["a"], 2), &results), ["WentDown@3"]);
}

#[test]
fn a_result_delivered_twice_changes_nothing_the_second_time() {
    let mut health = Health::default();
    run(&mut health, &policy(&["a"], 1), &[result("a", 1, Outcome::Down)]);
    let again = decide(&health, &result("a", 1, Outcome::Down), &policy(&["a"], 1), false);
    assert_eq!(again, Err(HealthError::Duplicate));
}

#[test]
fn a_late_result_is_recorded_and_changes_nothing() {
    let mut health = Health::default();
    let results = [result("a", 5, Outcome::Up), result("a", 4, Outcome::Down)];
    assert_eq!(run(&mut health, &policy(&["a"], 1), &results), Vec::<String>::new());
    assert_eq!((health.status, health.version), (HealthStatus::Up, 2));
}

#[test]
fn a_result_older_than_the_remembered_ones_is_looked_up() {
    let mut health = Health::default();
    let remembered = i64::try_from(REMEMBERED_SLOTS).unwrap();
    let results: Vec<_> =
        (10..10 + remembered + 1).map(|slot| result("a", slot, Outcome::Up)).collect();
    run(&mut health, &policy(&["a"], 1), &results);
    let old = result("a", 10, Outcome::Up);
    let policy = policy(&["a"], 1);
    assert_eq!(decide(&health, &old, &policy, false), Err(HealthError::OlderThanRemembered));
    assert_eq!(decide(&health, &old, &policy, true).unwrap().len(), 1);
    let newest = result("a", 10 + remembered, Outcome::Up);
    assert_eq!(decide(&health, &newest, &policy, true), Err(HealthError::Duplicate));
}

/// The control of every test that a forgotten check is counted once: told that the store does not have
/// it, without having asked, the aggregate records it again.
#[test]
fn without_the_look_up_a_forgotten_check_is_counted_twice() {
    let mut health = Health::default();
    let policy = policy(&["a"], 1);
    let results: Vec<_> = (0..80).map(|slot| result("a", slot, Outcome::Up)).collect();
    run(&mut health, &policy, &results);
    let again = decide(&health, &results[0], &policy, true).unwrap();
    assert_eq!(again, [HealthEvent::CheckCompleted(Box::new(results[0].clone()))]);
}

#[test]
fn a_check_on_demand_counts_once() {
    let mut health = Health::default();
    let on_demand = CheckResult {
        check_id: CheckId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
        ..result("a", 3, Outcome::Down)
    };
    let policy = policy(&["a"], 1);
    assert_eq!(run(&mut health, &policy, std::slice::from_ref(&on_demand)), ["WentDown@3"]);
    assert_eq!(decide(&health, &on_demand, &policy, false), Err(HealthError::Duplicate));
    // The slot of the same moment is another check.
    assert!(decide(&health, &result("a", 3, Outcome::Up), &policy, false).is_ok());
}

#[test]
fn a_forgotten_check_on_demand_is_looked_up_also_after_an_older_one_came_late() {
    let mut health = Health::default();
    let policy = policy(&["a"], 1);
    let on_demand = |number: u128| CheckResult {
        check_id: CheckId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)),
        ..result("a", 3, Outcome::Up)
    };
    let results: Vec<_> = (1..=80).map(on_demand).collect();
    run(&mut health, &policy, &results);
    for event in decide(&health, &on_demand(0), &policy, true).unwrap() {
        health.apply_event(&event);
    }
    let forgotten = decide(&health, &on_demand(5), &policy, false);
    assert_eq!(forgotten, Err(HealthError::OlderThanRemembered));
    assert_eq!(decide(&health, &on_demand(80), &policy, false), Err(HealthError::Duplicate));
}

#[test]
fn the_status_follows_the_quorum_of_the_regions() {
    let mut health = Health::default();
    let policy = policy(&["a", "b", "c"], 1);
    let changes = run(
        &mut health,
        &policy,
        &[
            result("a", 1, Outcome::Up),
            result("b", 1, Outcome::Down),
            result("c", 1, Outcome::Up),
            result("a", 2, Outcome::Down),
            result("b", 2, Outcome::Up),
            result("d", 2, Outcome::Down),
        ],
    );
    assert_eq!(changes, ["WentDown@2", "Recovered@2"]);
}

#[test]
fn a_vote_that_has_aged_does_not_count() {
    let mut health = Health::default();
    let policy = policy(&["a", "b", "c"], 1);
    // The vote of `b` is 2.5 s old at its last: at slot 4 it is 3 s old.
    let results = [result("b", 1, Outcome::Down), result("a", 4, Outcome::Down)];
    assert_eq!(run(&mut health, &policy, &results), Vec::<String>::new());
    let results = [result("b", 5, Outcome::Down)];
    assert_eq!(run(&mut health, &policy, &results), ["WentDown@5"]);
}

#[test]
fn a_paused_monitor_never_goes_down_and_starts_anew_when_it_is_resumed() {
    let mut health = Health::default();
    let running = policy(&["a"], 2);
    let paused = ObservationPolicy { paused: true, monitor_version: 2, ..running.clone() };
    run(&mut health, &running, &[result("a", 1, Outcome::Up), result("a", 2, Outcome::Down)]);
    let changes =
        run(&mut health, &paused, &[result("a", 3, Outcome::Down), result("a", 4, Outcome::Down)]);
    assert_eq!(changes, ["ObservationPaused@3"]);
    let changes = run(&mut health, &running, &[result("a", 9, Outcome::Down)]);
    assert_eq!(changes, ["ObservationResumed@9"]);
    assert_eq!(health.status, HealthStatus::Pending);
    assert_eq!(run(&mut health, &running, &[result("a", 10, Outcome::Down)]), ["WentDown@10"]);
}

#[test]
fn results_of_an_archived_monitor_are_dropped() {
    let policy = ObservationPolicy { archived: true, ..policy(&["a"], 1) };
    let refused = decide(&Health::default(), &result("a", 1, Outcome::Up), &policy, false);
    assert_eq!(refused, Err(HealthError::Archived));
}

#[test]
fn the_state_survives_being_stored() {
    let mut health = Health::default();
    let results = [result("a", 1, Outcome::Up), result("b", 1, Outcome::Down)];
    run(&mut health, &policy(&["a", "b", "c"], 1), &results);
    let stored = serde_json::to_string(&health).unwrap();
    assert_eq!(serde_json::from_str::<Health>(&stored).unwrap(), health);
}
