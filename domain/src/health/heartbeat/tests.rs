use uuid::Uuid;

use super::super::record::tests::policy;
use super::super::{HealthCommand, HealthStatus};
use super::*;
use crate::timestamp_from_millis;

const MONITOR: MonitorId = MonitorId(Uuid::from_u128(7));
/// Every minute, half a minute of grace, and 10 s for one that is sent again.
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
    let result = Box::new(report(MONITOR, region, HEARTBEAT, 1, slot, slot));
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
    assert_eq!(deadline(&mut health, &policy, 1_099), [""; 0]);
    assert_eq!(deadline(&mut health, &policy, 1_100), ["CheckCompleted", "WentDown"]);
    assert_eq!(deadline(&mut health, &policy, 1_100), [""; 0], "twice is once");
    assert_eq!(deadline(&mut health, &policy, 1_101), [""; 0], "it counts for an interval");
    assert_eq!(deadline(&mut health, &policy, 1_160), ["CheckCompleted"], "then there is another");
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
    ping(&mut health, &policy, 1_095);
    assert_eq!(deadline(&mut health, &policy, 1_100), [""; 0]);
}

#[test]
fn one_that_was_never_reported_is_down_when_its_first_report_is_overdue() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(1));
    assert_eq!(deadline(&mut health, &policy, 1_100), ["CheckCompleted", "WentDown"]);
}

#[test]
fn several_confirmations_are_several_missed_reports() {
    let (mut health, policy) = (Health::default(), heartbeat_policy(2));
    ping(&mut health, &policy, 1_000);
    assert_eq!(deadline(&mut health, &policy, 1_100), ["CheckCompleted"]);
    assert_eq!(deadline(&mut health, &policy, 1_160), ["CheckCompleted", "WentDown"]);
    assert_eq!(health.status_since, Some(timestamp_from_millis(1_100_000)));
}

#[test]
fn a_paused_one_takes_reports_that_change_nothing_and_misses_none() {
    let (mut health, running) = (Health::default(), heartbeat_policy(1));
    ping(&mut health, &running, 1_000);
    let paused = ObservationPolicy { paused: true, monitor_version: 2, ..running.clone() };
    assert_eq!(deadline(&mut health, &paused, 1_100), [""; 0]);
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
    assert_eq!(HEARTBEAT.repeat_ms(), 10_000);
    let brief = HeartbeatPolicy { interval_ms: 1_000, grace_ms: 0 };
    assert_eq!((brief.repeat_ms(), brief.valid_for_ms()), (500, 1_500));
}
