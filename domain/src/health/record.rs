//! Taking in a check's result: duplicates, late results, and the status rule.

use super::region_votes::{REMEMBERED_SLOTS, Seen};
use super::{Health, HealthError, HealthEvent, HealthStatus, ObservationPolicy, silence};
use crate::check::{CheckResult, Failure, FailureCause, Outcome};

pub(super) fn decide(
    health: &Health,
    result: &CheckResult,
    policy: &ObservationPolicy,
    known_to_be_new: bool,
) -> Result<Vec<HealthEvent>, HealthError> {
    match seen(health, result) {
        Seen::Yes => return Err(HealthError::Duplicate),
        Seen::Forgotten if !known_to_be_new => return Err(HealthError::OlderThanRemembered),
        Seen::Forgotten | Seen::No => {}
    }
    if policy.archived {
        return Err(HealthError::Archived);
    }
    let mut after = health.clone();
    let mut events = Vec::with_capacity(2);
    let mut push = |health: &mut Health, event: HealthEvent| {
        health.apply_event(&event);
        events.push(event);
    };
    let (at, monitor_version) = (result.scheduled_at, policy.monitor_version);
    match (after.paused, policy.paused) {
        (false, true) => {
            push(&mut after, HealthEvent::ObservationPaused { at, monitor_version });
        }
        (true, false) => {
            push(&mut after, HealthEvent::ObservationResumed { at, monitor_version });
        }
        _ => {}
    }
    let newest = after.regions.get(&result.region).is_none_or(|votes| votes.is_newest(result));
    let counts = newest && !after.paused && result.outcome != Outcome::Blocked;
    if counts {
        if let Some(since) = silence::lost_before(&after, result, policy) {
            push(&mut after, HealthEvent::ObservationLost { since });
        }
        if let Some(regained) = silence::regained(&after, result, policy) {
            push(&mut after, regained);
        }
    }
    push(&mut after, HealthEvent::CheckCompleted(Box::new(result.clone())));
    if counts && let Some(change) = change_of_status(&after, result, policy) {
        push(&mut after, change);
    }
    Ok(events)
}

fn seen(health: &Health, result: &CheckResult) -> Seen {
    if result.is_on_demand() {
        return match health.on_demand.binary_search(&result.check_id) {
            Ok(_) => Seen::Yes,
            Err(0) if health.on_demand.len() >= REMEMBERED_SLOTS => Seen::Forgotten,
            Err(_) => Seen::No,
        };
    }
    match health.regions.get(&result.region) {
        Some(votes) => votes.seen(result.slot_ms()),
        None => Seen::No,
    }
}

fn change_of_status(
    health: &Health,
    result: &CheckResult,
    policy: &ObservationPolicy,
) -> Option<HealthEvent> {
    let at = result.scheduled_at;
    let failing = policy
        .regions
        .iter()
        .filter_map(|region| health.regions.get(region))
        .filter(|votes| votes.is_failing(at, policy.confirmations))
        .count();
    let down = failing >= policy.quorum as usize;
    match (health.status, down) {
        (HealthStatus::Down, false) => {
            let since = health.status_since.unwrap_or(at);
            // A result that is newest for its region can still be older than the outage.
            let down_for_ms = (at - since).num_milliseconds().max(0);
            Some(HealthEvent::Recovered { since, down_for_ms, check_id: result.check_id })
        }
        (HealthStatus::Up | HealthStatus::Pending, true) => Some(HealthEvent::WentDown {
            since: health
                .regions
                .get(&result.region)
                .and_then(|votes| votes.failing_since())
                .unwrap_or(at),
            cause: result.failure.clone().unwrap_or(Failure {
                cause: FailureCause::HttpInvalid,
                detail: "the check gave no reason".to_owned(),
            }),
            check_id: result.check_id,
        }),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
