//! Deciding a batch: what each monitor's results lead to, from what is known of it.

use std::collections::HashSet;

use pulsetrail_domain::health::{
    Health, HealthCommand, HealthError, HealthEvent, MAX_AGE, MAX_AHEAD, Timeliness,
};
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{CheckId, MonitorId, Timestamp};
use pulsetrail_infra::dead_letters::retried_letter;
use pulsetrail_infra::store::{Append, Guard, NewEvent};

use super::cache::Known;
use super::dead_letter::{DeadLetter, Reason};
use super::intake::{Received, Said};

/// What became of one monitor's results.
#[derive(Default)]
pub(super) struct Decided {
    /// What is to be stored; none when every result was a duplicate, or set aside.
    pub(super) append: Option<Append>,
    /// The state after it.
    pub(super) health: Health,
    /// Results that cannot have an effect.
    pub(super) dead: Vec<DeadLetter>,
    /// Results that are recorded by `append`, by their place among the monitor's results.
    pub(super) recorded: Vec<usize>,
    /// Results that were recorded before.
    pub(super) duplicates: usize,
    /// Results of a monitor that is archived: they are not recorded.
    pub(super) archived: usize,
    /// Deadlines that changed nothing.
    pub(super) void: usize,
    /// Results that were dropped because their slots were too old.
    pub(super) too_late: usize,
    /// The recorded ones among them that the order of the log does not lead to.
    pub(super) irregular: Vec<CheckId>,
    /// Results that are older than what is remembered, by their place: the store must be asked about
    /// their checks first.
    pub(super) to_look_up: Vec<usize>,
}

/// Decides the results of one monitor, in order. `known_checks` are the checks that the store was
/// asked about, and whether each was found; `now` is the time by the database's clock.
pub(super) fn decide(
    monitor_id: MonitorId,
    known: &Known,
    results: &[Received],
    known_checks: &LookedUp,
    now: Timestamp,
) -> Result<Decided, serde_json::Error> {
    let mut decided = Decided { health: known.health.clone(), ..Decided::default() };
    let Some(policy) = &known.policy else {
        decided.dead = dead(results, Reason::UnknownMonitor, "there is no such monitor");
        return Ok(decided);
    };
    if let Some(detail) = &known.unreadable {
        decided.dead = dead(results, Reason::UnreadableHistory, detail);
        return Ok(decided);
    }
    let mut events = Vec::new();
    // A check that was looked up is older than what the state remembers, also after it is recorded.
    let mut recorded_here = HashSet::new();
    for (place, received) in results.iter().enumerate() {
        if received.organization_id != known.organization_id {
            // The letter belongs to no organization: its own claim is what is wrong.
            decided.dead.push(DeadLetter::new(
                &received.origin,
                None,
                Reason::OrganizationMismatch,
                "the monitor belongs to another organization",
            ));
            continue;
        }
        match timeliness(received, now) {
            Timeliness::InTime => {}
            Timeliness::Ahead => {
                decided.dead.push(dead_in_time(received, Reason::ScheduledAhead, now));
                continue;
            }
            // Who asked for a retry is told that it came too late.
            Timeliness::TooLate if retried_letter(&received.origin).is_some() => {
                decided.dead.push(dead_in_time(received, Reason::TooLate, now));
                continue;
            }
            Timeliness::TooLate => {
                decided.too_late += 1;
                continue;
            }
        }
        let message = match &received.said {
            Said::Result(message) => message,
            Said::Deadline(at) => {
                let command =
                    HealthCommand::NoteSilence { monitor_id, at: *at, policy: policy.clone() };
                // Whatever speaks against it: another message of the kind comes when it is due.
                let new = decided.health.decide(&command).unwrap_or_default();
                decided.void += usize::from(new.is_empty());
                append(monitor_id, &mut decided.health, new, &mut events)?;
                continue;
            }
        };
        let check_id = message.result.check_id;
        if known_checks.found.contains(&check_id) || recorded_here.contains(&check_id) {
            decided.duplicates += 1;
            continue;
        }
        let command = HealthCommand::RecordCheck {
            result: Box::new(message.result.clone()),
            policy: policy.clone(),
            known_to_be_new: known_checks.asked.contains(&check_id),
        };
        match decided.health.decide(&command) {
            Ok(new) => {
                let result = &message.result;
                let is_late = known_checks.asked.contains(&check_id);
                if is_late || result.is_on_demand() || result.scheduled_at > now {
                    decided.irregular.push(check_id);
                }
                append(monitor_id, &mut decided.health, new, &mut events)?;
                decided.recorded.push(place);
                recorded_here.insert(check_id);
            }
            Err(HealthError::Duplicate | HealthError::NothingLost) => decided.duplicates += 1,
            Err(HealthError::Archived) => decided.archived += 1,
            Err(HealthError::OlderThanRemembered) => decided.to_look_up.push(place),
        }
    }
    if !events.is_empty() {
        let aggregate_id = monitor_id.to_string();
        decided.append = Some(Append {
            aggregate_type: Health::AGGREGATE,
            aggregate_id: aggregate_id.clone(),
            organization_id: known.organization_id,
            expected: Some(known.health.version),
            guard: Some(Guard {
                aggregate_type: Monitor::AGGREGATE,
                aggregate_id,
                expected: policy.monitor_version,
            }),
            events,
        });
    }
    Ok(decided)
}

/// A deadline is decided from the results that were recorded, however old it is.
fn timeliness(received: &Received, now: Timestamp) -> Timeliness {
    match &received.said {
        Said::Result(message) => Timeliness::of(message.result.scheduled_at, now),
        Said::Deadline(at) if Timeliness::of(*at, now) == Timeliness::Ahead => Timeliness::Ahead,
        Said::Deadline(_) => Timeliness::InTime,
    }
}

/// The letter of a message whose slot lies too far from the present.
fn dead_in_time(received: &Received, reason: Reason, now: Timestamp) -> DeadLetter {
    let slot = match &received.said {
        Said::Result(message) => message.result.scheduled_at,
        Said::Deadline(at) => *at,
    };
    let limit = match reason {
        Reason::ScheduledAhead => format!("more than {} minutes after", MAX_AHEAD.num_minutes()),
        _ => format!("more than {} days before", MAX_AGE.num_days()),
    };
    let detail = format!("{slot:?} is {limit} the database's clock, which showed {now:?}");
    DeadLetter::new(&received.origin, Some(received.organization_id), reason, detail)
}

/// Takes events into the state, and into what is to be stored.
fn append(
    monitor_id: MonitorId,
    health: &mut Health,
    new: Vec<HealthEvent>,
    events: &mut Vec<NewEvent>,
) -> Result<(), serde_json::Error> {
    for event in new {
        events.push(NewEvent::health(monitor_id, &event)?);
        health.apply_event(&event);
    }
    Ok(())
}

/// Checks that the store was asked about.
#[derive(Default)]
pub(super) struct LookedUp {
    pub(super) asked: HashSet<CheckId>,
    pub(super) found: HashSet<CheckId>,
}

fn dead(results: &[Received], reason: Reason, detail: &str) -> Vec<DeadLetter> {
    results
        .iter()
        .map(|received| {
            let organization_id = match reason {
                Reason::UnreadableHistory => Some(received.organization_id),
                _ => None,
            };
            DeadLetter::new(&received.origin, organization_id, reason, detail)
        })
        .collect()
}

#[cfg(test)]
mod tests;
