use std::time::Duration;

use pulsetrail_domain::catalogue::current_version;
use pulsetrail_domain::{OrganizationId, Position, timestamp_from_millis};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;

fn event(kind: &str, payload: &serde_json::Value) -> Event {
    Event {
        position: Position(1),
        organization_id: OrganizationId::default(),
        aggregate_type: Health::AGGREGATE.to_owned(),
        aggregate_id: MonitorId::default().to_string(),
        sequence: 1,
        event_type: kind.to_owned(),
        event_version: current_version(Health::AGGREGATE, kind).unwrap().to_owned(),
        recorded_at: timestamp_from_millis(0),
        payload: to_raw_value(payload).unwrap(),
    }
}

#[test]
fn a_result_counts_for_its_time_and_a_refusal_not_at_all() {
    let check = |outcome: &str| {
        let payload = json!({
            "scheduled_at": "2026-01-02T03:04:05Z", "outcome": outcome, "valid_for_ms": 2_500,
            "what_comes_later": {"is": "passed over"},
        });
        Sign::of(&event("CheckCompleted", &payload))
    };
    let until = timestamp_from_millis(1_767_323_045_000 + 2_500);
    assert_eq!(check("up"), Some(Sign::CountsUntil(until)));
    assert_eq!(check("down"), Some(Sign::CountsUntil(until)));
    assert_eq!(check("blocked"), None);
    let lost = event("ObservationLost", &json!({"since": "2026-01-02T03:04:05Z"}));
    assert_eq!(Sign::of(&lost), Some(Sign::Lost));
    assert_eq!(Sign::of(&event("WentDown", &json!({}))), None);
}

#[test]
fn a_second_is_never_before_its_moment() {
    for ms in [0, 1, 999, 1_000, 1_001, 1_700_000_000_123] {
        let second = Second::not_before(ms).as_ms();
        assert!((ms..ms + 1_000).contains(&second), "{ms}");
    }
    assert_eq!(Second::not_before(-5).as_ms(), 0);
    assert!(Second::not_before(i64::MAX) < Second::NEVER);
}

#[test]
fn a_clock_jumps_when_it_runs_away_from_the_time_that_passed() {
    let begin = Instant::now();
    let mut clock = Clock::at(1_000_000, begin);
    let after = |ms| begin + Duration::from_millis(ms);
    assert_eq!(clock.jumped(1_060_000, after(60_000)), None, "a long pause is no jump");
    assert_eq!(clock.jumped(1_060_900, after(60_000)), None, "nor is a correction by the network");
    let ahead = Jump { expected_ms: 1_060_901, now_ms: 4_660_900 };
    assert_eq!(clock.jumped(4_660_900, after(60_001)), Some(ahead));
    assert_eq!(clock.jumped(4_661_900, after(61_001)), None);
    let back = Jump { expected_ms: 4_661_901, now_ms: 1_061_900 };
    assert_eq!(clock.jumped(1_061_900, after(61_002)), Some(back));
}
