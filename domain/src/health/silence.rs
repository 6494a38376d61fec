//! Silence: no region has a result that still counts, so nothing is known of the monitor.
//!
//! A result counts for its `valid_for_ms`. One region alone that falls silent stops to vote. When the
//! last of them has, observation is lost, from the moment on when its result stopped to count. It is
//! noticed by whichever comes first: the scheduler's message that a result is overdue, or the next
//! result, which finds that no other counted any more. So the log says the same of a silence that
//! nobody was there to notice.

use super::region_votes::Vote;
use super::{Health, HealthError, HealthEvent, HealthStatus, ObservationPolicy, heartbeat};
use crate::check::CheckResult;
use crate::{MonitorId, Timestamp};

/// What it leads to that nothing which counts at `at` was seen.
pub(super) fn decide(
    health: &Health,
    monitor_id: MonitorId,
    at: Timestamp,
    policy: &ObservationPolicy,
) -> Result<Vec<HealthEvent>, HealthError> {
    if policy.archived {
        return Err(HealthError::Archived);
    }
    let counts_until = last_to_count(health, policy).map(Vote::expires_at);
    if policy.paused || counts_until.is_some_and(|until| until > at) {
        return Err(HealthError::NothingLost);
    }
    if let Some(heartbeat) = policy.heartbeat {
        return heartbeat::missed(health, monitor_id, at, policy, heartbeat);
    }
    match counts_until {
        _ if health.status == HealthStatus::Unknown => Err(HealthError::NothingLost),
        // What was seen before a pause does not tell since when results are missing after it.
        Some(since) if !health.paused => Ok(vec![HealthEvent::ObservationLost { since }]),
        _ => Ok(vec![HealthEvent::ObservationLost { since: at }]),
    }
}

/// Since when nothing was known before a result came, where nobody has said so yet. Only results of one
/// version of the monitor tell: from one to the next it may have been paused, or given another interval.
pub(super) fn lost_before(
    health: &Health,
    result: &CheckResult,
    policy: &ObservationPolicy,
) -> Option<Timestamp> {
    let last = last_to_count(health, policy)?;
    let silent = last.expires_at() <= result.scheduled_at
        && last.config_version == result.config_version
        && policy.regions.contains(&result.region);
    let known = matches!(health.status, HealthStatus::Up | HealthStatus::Down);
    // Of a heartbeat that was not reported, the check that failed tells.
    (silent && known && policy.heartbeat.is_none()).then(|| last.expires_at())
}

/// What a result that counts says to a monitor of which nothing was known.
pub(super) fn regained(
    health: &Health,
    result: &CheckResult,
    policy: &ObservationPolicy,
) -> Option<HealthEvent> {
    if health.status != HealthStatus::Unknown || !policy.regions.contains(&result.region) {
        return None;
    }
    let at = result.scheduled_at;
    let since = health.status_since.unwrap_or(at);
    Some(HealthEvent::ObservationRegained {
        since,
        // A result can come late, of a slot that lies before its absence was noticed.
        lost_for_ms: (at - since).num_milliseconds().max(0),
        status: health.before_loss.map_or(HealthStatus::Pending, |before| before.status),
        check_id: result.check_id,
    })
}

/// The vote of the regions that stops to count last.
fn last_to_count<'a>(health: &'a Health, policy: &ObservationPolicy) -> Option<&'a Vote> {
    policy
        .regions
        .iter()
        .filter_map(|region| health.regions.get(region)?.vote())
        .max_by_key(|vote| vote.expires_at())
}

#[cfg(test)]
mod tests;
