use uuid::Uuid;

use super::super::record::tests::policy;
use super::super::{HealthCommand, HealthStatus};
use super::*;
use crate::timestamp_from_millis;

const MONITOR: MonitorId = MonitorId(Uuid::from_u128(7));
/// Every minute, and half a minute of grace.
const HEARTBEAT: HeartbeatPolicy = HeartbeatPolicy { interval_ms: 60_000, grace_ms: 30_000 };

fn heartbeat_policy(confirmations: u32) -> ObservationPolicy {
    ObservationPolicy { heartbeat: Some(HEARTBEAT), ..policy(&["a"], confirmations) }
}

fn apply(health: &mut Health, command: &HealthCommand) -> Vec<String> {
    let events = health.decide(command).unwrap_or_default();
    events.iter().for_each(|event| health.apply_event(event));
    events.iter().map(|event| event.name().to_owned()).collect()
}

fn ping(health: &mut Health, policy: &ObservationPolicy, second: i64) -> Vec<String> {
    let (slot, region) = (timestamp_from_millis(second * 1_000), "a".parse().unwrap());
    let report = Report { slot, at: slot, failure: None };
    let result = Box::new(report.result(MONITOR, region, HEARTBEAT, 1));
    let policy = policy.clone();
    apply(health, &HealthCommand::RecordCheck { result, policy, known_to_be_new: false })
}

fn deadline(health: &mut Health, policy: &ObservationPolicy, second: i64) -> Vec<String> {
    let at = timestamp_from_millis(second * 1_000);
    let policy = policy.clone();
    apply(health, &HealthCommand::NoteSilence { monitor_id: MONITOR, at, policy })
}

#[test]
fn a_report_that_does_not_come_is_a_failed_check_and_the_next_one_recovers() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    assert_eq!(ping(&mut health, &policy, 1_000), ["CheckCompleted"]);
    assert_eq!(health.status, HealthStatus::Up);
    assert_eq!(deadline(&mut health, &policy, 1_089), [""; 0]);
    assert_eq!(deadline(&mut health, &policy, 1_090), ["CheckCompleted", "WentDown"]);
    assert_eq!(deadline(&mut health, &policy, 1_090), [""; 0], "twice is once");
    assert_eq!(deadline(&mut health, &policy, 1_091), [""; 0], "it counts for an interval");
    assert_eq!(deadline(&mut health, &policy, 1_150), ["CheckCompleted"], "then there is another");
    assert_eq!(ping(&mut health, &policy, 1_170), ["CheckCompleted", "Recovered"]);
}

#[test]
fn a_report_that_is_sent_twice_counts_once() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    ping(&mut health, &policy, 1_000);
    assert_eq!(ping(&mut health, &policy, 1_000), [""; 0]);
}

#[test]
fn a_deadline_that_comes_after_the_report_changes_nothing() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    ping(&mut health, &policy, 1_000);
    ping(&mut health, &policy, 1_085);
    assert_eq!(deadline(&mut health, &policy, 1_090), [""; 0]);
}

#[test]
fn one_that_was_never_reported_is_down_when_its_first_report_is_overdue() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    assert_eq!(deadline(&mut health, &policy, 1_090), ["CheckCompleted", "WentDown"]);
}

#[test]
fn several_confirmations_are_several_missed_reports() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(2));
    ping(&mut health, &policy, 1_000);
    assert_eq!(deadline(&mut health, &policy, 1_090), ["CheckCompleted"]);
    assert_eq!(deadline(&mut health, &policy, 1_150), ["CheckCompleted", "WentDown"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(1_090_000)));
}

#[test]
fn a_paused_one_takes_reports_that_change_nothing_and_misses_none() {
    let (mut health, running) = (Health::default(), heartbeat_policy(1));
    ping(&mut health, &running, 1_000);
    let paused = ObservationPolicy { paused: true, monitor_version: 2, ..running.clone() };
    assert_eq!(deadline(&mut health, &paused, 1_090), [""; 0]);
    assert_eq!(ping(&mut health, &paused, 1_300), ["ObservationPaused", "CheckCompleted"]);
    assert_eq!(health.status, HealthStatus::Up);
    assert_eq!(ping(&mut health, &running, 1_400), ["ObservationResumed", "CheckCompleted"]);
}

#[test]
fn a_late_report_is_no_silence_that_somebody_forgot_to_tell() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    ping(&mut health, &policy, 1_000);
    assert_eq!(ping(&mut health, &policy, 1_500), ["CheckCompleted"]);
}

#[test]
fn a_second_report_is_the_first_one_again_only_for_a_short_time() {
    assert_eq!((HEARTBEAT.repeat_ms(), HEARTBEAT.valid_for_ms()), (10_000, 90_000));
    let brief = HeartbeatPolicy { interval_ms: 6_000, grace_ms: 3_000 };
    assert_eq!((brief.repeat_ms(), brief.valid_for_ms()), (3_000, 9_000));
    let strict = HeartbeatPolicy { interval_ms: 1_000, grace_ms: 0 };
    assert_eq!((strict.repeat_ms(), strict.valid_for_ms()), (0, 1_000));
    // Who counts the interval from a repetition is in time.
    for policy in [HEARTBEAT, brief, strict] {
        assert!(policy.repeat_ms() + policy.interval_ms <= policy.valid_for_ms());
    }
}

fn report_failure(health: &mut Health, second: i64, message: &str) -> Vec<String> {
    let slot = timestamp_from_millis(second * 1_000);
    let report = Report { slot, at: slot, failure: Some(message.to_owned()) };
    let result = Box::new(report.result(MONITOR, "a".parse().unwrap(), HEARTBEAT, 1));
    let policy = heartbeat_policy(1);
    apply(health, &HealthCommand::RecordCheck { result, policy, known_to_be_new: false })
}

#[test]
fn a_report_of_a_failure_is_a_failed_check_with_its_message() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    ping(&mut health, &policy, 1_000);
    let events = report_failure(&mut health, 1_010, "disk full");
    assert_eq!(events, ["CheckCompleted", "WentDown"]);
    assert_eq!(ping(&mut health, &policy, 1_020), ["CheckCompleted", "Recovered"]);
}

#[test]
fn the_message_of_a_report_is_made_fit_to_be_kept() {
    let long = "ä".repeat(1_000);
    for (message, detail) in [
        ("disk full", "A report says that it failed: disk full."),
        (" a\0b\nc. ", "A report says that it failed: a b c."),
        ("", "A report says that it failed."),
        (&long, &format!("A report says that it failed: {}.", "ä".repeat(MAX_MESSAGE))),
    ] {
        assert_eq!(failure_detail(message), detail);
    }
}
