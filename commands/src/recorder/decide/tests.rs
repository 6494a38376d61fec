use chrono::Duration;
use pulsetrail_domain::check::{CheckResult, Failure, FailureCause, Outcome, TimingsUs};
use pulsetrail_domain::health::{HealthStatus, ObservationPolicy};
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{OrganizationId, Region, timestamp_from_millis};
use pulsetrail_infra::dead_letters::RETRY_HEADER;
use pulsetrail_infra::messages::ResultMessage;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use uuid::Uuid;

use super::*;

const MONITOR: MonitorId = MonitorId(Uuid::from_u128(7));
const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(8));

fn now() -> Timestamp {
    timestamp_from_millis(1_800_000_000_000)
}

fn known() -> Known {
    Known {
        organization_id: ORGANIZATION,
        policy: Some(ObservationPolicy {
            monitor_version: 1,
            confirmations: 1,
            regions: vec![Region::default()],
            quorum: 1,
            paused: false,
            archived: false,
            heartbeat: None,
        }),
        ..Known::default()
    }
}

fn received(said: Said, headers: Option<OwnedHeaders>) -> Received {
    let (topic, none) = ("results".to_owned(), rdkafka::Timestamp::NotAvailable);
    let origin = OwnedMessage::new(None, None, topic, none, 0, 0, headers);
    Received { monitor_id: MONITOR, organization_id: ORGANIZATION, said, origin }
}

fn result(scheduled_at: Timestamp, outcome: Outcome) -> Received {
    let region = Region::default();
    let failure = (outcome == Outcome::Down)
        .then(|| Failure { cause: FailureCause::ConnectRefused, detail: String::new() });
    let result = CheckResult {
        check_id: scheduled_check_id(MONITOR, &region, scheduled_at.timestamp_millis()),
        region,
        scheduled_at,
        started_at: scheduled_at,
        outcome,
        http_status: None,
        failure,
        timings_us: TimingsUs::default(),
        attempts: 1,
        config_version: 1,
        valid_for_ms: 60_000,
        findings: None,
    };
    let (monitor_id, organization_id) = (MONITOR, ORGANIZATION);
    let message = ResultMessage { monitor_id, organization_id, result, refusal: None };
    received(Said::Result(Box::new(message)), None)
}

fn outcome_of(results: &[Received]) -> Decided {
    decide(MONITOR, &known(), results, &LookedUp::default(), now()).unwrap()
}

#[test]
fn a_result_scheduled_far_ahead_is_a_dead_letter_and_later_ones_decide_the_status() {
    let ahead = result(now() + Duration::hours(1), Outcome::Up);
    let real = [
        result(now() - Duration::seconds(20), Outcome::Up),
        ahead,
        result(now() - Duration::seconds(10), Outcome::Down),
    ];
    let decided = outcome_of(&real);
    assert_eq!(decided.recorded, [0, 2]);
    assert_eq!(decided.health.status, HealthStatus::Down);
    let reasons: Vec<&str> = decided.dead.iter().map(DeadLetter::reason).collect();
    assert_eq!(reasons, ["scheduled_ahead"]);

    // The control: within the difference that clocks may have it is recorded, and outranks what follows.
    let [first, _, last] = real;
    let near = result(now() + Duration::minutes(4), Outcome::Up);
    let decided = outcome_of(&[first, near, last]);
    assert_eq!((decided.recorded.len(), decided.dead.len()), (3, 0));
    assert_eq!(decided.health.status, HealthStatus::Up);
}

#[test]
fn a_result_of_a_slot_of_last_week_is_dropped_and_a_retry_of_one_says_so() {
    let old = result(now() - Duration::days(7) - Duration::milliseconds(1), Outcome::Down);
    let in_time = result(now() - Duration::days(7), Outcome::Up);
    let id = Uuid::from_u128(9).to_string();
    let headers =
        OwnedHeaders::new().insert(Header { key: RETRY_HEADER, value: Some(id.as_str()) });
    let retried = received(old.said.clone(), Some(headers));
    let decided = outcome_of(&[old, in_time, retried]);
    assert_eq!((decided.recorded, decided.too_late), (vec![1], 1));
    let reasons: Vec<&str> = decided.dead.iter().map(DeadLetter::reason).collect();
    assert_eq!(reasons, ["too_late"]);
}

#[test]
fn a_deadline_must_have_passed_and_may_be_old() {
    let up = result(now() - Duration::days(1), Outcome::Up);
    let ahead = received(Said::Deadline(now() + Duration::minutes(6)), None);
    let old = received(Said::Deadline(now() - Duration::hours(20)), None);
    let decided = outcome_of(&[up, ahead, old]);
    assert_eq!(decided.health.status, HealthStatus::Unknown);
    let reasons: Vec<&str> = decided.dead.iter().map(DeadLetter::reason).collect();
    assert_eq!(reasons, ["scheduled_ahead"]);
}
