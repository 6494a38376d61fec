use pulsetrail_domain::check::{FailureCause, TimingsUs};
use pulsetrail_domain::{Region, timestamp_from_millis};
use uuid::Uuid;

use super::*;

fn at(seconds: i64) -> Timestamp {
    timestamp_from_millis(seconds * 1_000)
}

fn check(region: &str, seconds: i64, outcome: Outcome) -> HealthEvent {
    HealthEvent::CheckCompleted(Box::new(CheckResult {
        check_id: CheckId(Uuid::from_u128(seconds.unsigned_abs().into())),
        region: region.parse::<Region>().unwrap(),
        scheduled_at: at(seconds),
        started_at: at(seconds),
        outcome,
        http_status: None,
        failure: None,
        timings_us: TimingsUs::default(),
        attempts: 1,
        config_version: 1,
        valid_for_ms: 130_000,
        findings: None,
    }))
}

fn went_down(since: i64) -> HealthEvent {
    let cause = Failure { cause: FailureCause::ConnectRefused, detail: "refused".to_owned() };
    HealthEvent::WentDown { since: at(since), cause, check_id: CheckId::default() }
}

fn recovered(since: i64, until: i64) -> HealthEvent {
    let down_for_ms = (until - since) * 1_000;
    HealthEvent::Recovered { since: at(since), down_for_ms, check_id: CheckId::default() }
}

/// A monitor that was registered, or resumed, at a moment.
fn pending_since(seconds: i64) -> Timeline {
    let mut timeline = Timeline::default();
    let resumed = timeline.monitor(&MonitorEvent::MonitorResumed {}, at(seconds)).unwrap();
    assert_eq!(resumed.at, at(seconds));
    timeline
}

/// The kind and the moment, in seconds, of the change that an event makes.
fn change(timeline: &mut Timeline, event: &HealthEvent) -> Option<(TransitionKind, i64)> {
    timeline.health(event).map(|change| (change.kind, change.at.timestamp()))
}

#[test]
fn the_first_success_makes_a_pending_monitor_up_and_the_second_changes_nothing() {
    let mut timeline = pending_since(10);
    let first = change(&mut timeline, &check("eu", 20, Outcome::Up));
    assert_eq!(first, Some((TransitionKind::Observed, 20)));
    assert_eq!(timeline.status, Status::Up);
    assert_eq!(change(&mut timeline, &check("eu", 30, Outcome::Up)), None);
}

#[test]
fn a_blocked_result_says_nothing() {
    let mut timeline = pending_since(10);
    assert_eq!(change(&mut timeline, &check("eu", 30, Outcome::Blocked)), None);
    let first = change(&mut timeline, &check("eu", 20, Outcome::Up));
    assert_eq!(first, Some((TransitionKind::Observed, 20)));
}

#[test]
fn a_result_older_than_its_regions_newest_says_nothing() {
    let mut timeline = pending_since(10);
    assert_eq!(change(&mut timeline, &check("eu", 30, Outcome::Down)), None);
    assert_eq!(change(&mut timeline, &check("eu", 20, Outcome::Up)), None);
    assert_eq!(timeline.status, Status::Pending);
    let other_region = change(&mut timeline, &check("us", 20, Outcome::Up));
    assert_eq!(other_region, Some((TransitionKind::Observed, 20)));
}

#[test]
fn an_outage_reaches_back_to_its_first_failure_but_not_into_what_is_settled() {
    let mut timeline = pending_since(10);
    timeline.health(&check("eu", 20, Outcome::Up));
    assert_eq!(change(&mut timeline, &went_down(15)), Some((TransitionKind::WentDown, 15)));
    assert_eq!(change(&mut timeline, &recovered(15, 40)), Some((TransitionKind::Recovered, 40)));
    assert_eq!(change(&mut timeline, &went_down(35)), Some((TransitionKind::WentDown, 40)));
}

#[test]
fn what_the_checks_say_during_a_pause_does_not_show() {
    let mut timeline = pending_since(10);
    timeline.health(&check("eu", 20, Outcome::Up));
    timeline.monitor(&MonitorEvent::MonitorPaused {}, at(30));
    assert_eq!(change(&mut timeline, &check("eu", 40, Outcome::Up)), None);
    timeline.health(&went_down(25));
    assert_eq!(timeline.status, Status::Paused);
}

#[test]
fn after_a_resume_the_status_is_pending_until_a_result_counts() {
    let mut timeline = pending_since(10);
    timeline.health(&check("eu", 20, Outcome::Up));
    timeline.monitor(&MonitorEvent::MonitorPaused {}, at(30));
    timeline.monitor(&MonitorEvent::MonitorResumed {}, at(50));
    assert_eq!(timeline.status, Status::Pending);
    let resumed = HealthEvent::ObservationResumed { at: at(60), monitor_version: 3 };
    timeline.health(&resumed);
    assert_eq!(timeline.health, HealthStatus::Pending);
    // A slot of before the resume that was answered after it.
    let first = change(&mut timeline, &check("eu", 45, Outcome::Up));
    assert_eq!(first, Some((TransitionKind::Observed, 50)));
}

#[test]
fn a_pause_that_no_result_met_leaves_what_the_checks_said() {
    for (before, status) in [(false, Status::Up), (true, Status::Down)] {
        let mut timeline = pending_since(10);
        timeline.health(&check("eu", 20, Outcome::Up));
        if before {
            timeline.health(&went_down(25));
        }
        timeline.monitor(&MonitorEvent::MonitorPaused {}, at(30));
        timeline.monitor(&MonitorEvent::MonitorResumed {}, at(50));
        let first = change(&mut timeline, &check("eu", 60, Outcome::Down));
        assert_eq!(first, Some((TransitionKind::Observed, 60)));
        assert_eq!(timeline.status, status);
    }
}

#[test]
fn an_archived_monitor_stays_archived() {
    let mut timeline = pending_since(10);
    let archived = timeline.monitor(&MonitorEvent::MonitorArchived {}, at(30)).unwrap();
    assert_eq!(archived.kind, TransitionKind::Archived);
    timeline.health(&check("eu", 40, Outcome::Up));
    timeline.health(&went_down(40));
    assert_eq!(timeline.status, Status::Archived);
}

fn lost(since: i64) -> HealthEvent {
    HealthEvent::ObservationLost { since: at(since) }
}

fn regained(since: i64, until: i64, status: HealthStatus) -> HealthEvent {
    let lost_for_ms = (until - since) * 1_000;
    let check_id = CheckId::default();
    HealthEvent::ObservationRegained { since: at(since), lost_for_ms, status, check_id }
}

#[test]
fn what_was_lost_is_unknown_until_it_is_regained() {
    for (health, status) in [(HealthStatus::Up, Status::Up), (HealthStatus::Down, Status::Down)] {
        let mut timeline = pending_since(10);
        timeline.health(&check("eu", 20, Outcome::Up));
        let gone = change(&mut timeline, &lost(40));
        assert_eq!(gone, Some((TransitionKind::ObservationLost, 40)));
        assert_eq!(timeline.status, Status::Unknown);
        let back = change(&mut timeline, &regained(40, 90, health));
        assert_eq!(back, Some((TransitionKind::ObservationRegained, 90)));
        assert_eq!((timeline.status, timeline.health), (status, health));
    }
}

#[test]
fn a_monitor_that_was_lost_before_its_first_result_becomes_up_with_it() {
    let mut timeline = pending_since(10);
    timeline.health(&lost(30));
    timeline.health(&regained(30, 50, HealthStatus::Pending));
    assert_eq!(timeline.status, Status::Pending);
    let first = change(&mut timeline, &check("eu", 50, Outcome::Up));
    assert_eq!(first, Some((TransitionKind::Observed, 50)));
}

#[test]
fn a_silence_during_a_pause_does_not_show_and_a_resume_forgets_it() {
    let mut timeline = pending_since(10);
    timeline.health(&check("eu", 20, Outcome::Up));
    timeline.monitor(&MonitorEvent::MonitorPaused {}, at(30));
    timeline.health(&lost(35));
    assert_eq!(timeline.status, Status::Paused);
    timeline.monitor(&MonitorEvent::MonitorResumed {}, at(50));
    timeline.health(&lost(60));
    assert_eq!(timeline.status, Status::Unknown);
    timeline.health(&HealthEvent::ObservationResumed { at: at(70), monitor_version: 3 });
    let first = change(&mut timeline, &check("eu", 70, Outcome::Up));
    assert_eq!(first, Some((TransitionKind::Observed, 70)));
}
