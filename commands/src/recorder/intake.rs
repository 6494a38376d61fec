//! From messages to what they say, or to dead letters.

use chrono::Datelike;
use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp};
use pulsetrail_infra::kafka::{MalformedMessage, attribute, payload_of};
use pulsetrail_infra::messages::{DEADLINE_TYPE, DeadlineMessage, ResultMessage};
use pulsetrail_infra::store::StoreError;
use rdkafka::message::{Message as _, OwnedMessage};

use super::dead_letter::{DeadLetter, Reason};
use super::storable::storable;

/// What a message turned out to be.
pub(super) enum Intake {
    Received(Box<Received>),
    Dead(Box<DeadLetter>),
}

/// What is said of a monitor, and the message that says it.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) monitor_id: MonitorId,
    pub(super) organization_id: OrganizationId,
    pub(super) said: Said,
    pub(super) origin: OwnedMessage,
}

#[derive(Clone)]
pub(super) enum Said {
    /// A check ended.
    Result(Box<ResultMessage>),
    /// Nothing that counts at this moment was seen.
    Deadline(Timestamp),
}

impl Received {
    /// The result, if it is one.
    pub(super) fn result(&self) -> Option<&ResultMessage> {
        match &self.said {
            Said::Result(message) => Some(message),
            Said::Deadline(_) => None,
        }
    }
}

impl Intake {
    pub(super) fn from_message(origin: &OwnedMessage) -> Self {
        let (monitor_id, organization_id, fault, said) = match read(origin) {
            Ok(said) => said,
            Err(error) => {
                let fault = error.to_string();
                return Self::Dead(Box::new(DeadLetter::new(
                    origin,
                    None,
                    Reason::Malformed,
                    fault,
                )));
            }
        };
        match fault {
            None => Self::Received(Box::new(Received {
                monitor_id,
                organization_id,
                said,
                origin: origin.clone(),
            })),
            Some(fault) => {
                let organization = Some(organization_id);
                let letter = DeadLetter::new(origin, organization, Reason::Malformed, fault);
                Self::Dead(Box::new(letter))
            }
        }
    }

    /// A message that Postgres refuses for what is in it.
    pub(super) fn refused(origin: &OwnedMessage, error: &StoreError) -> Self {
        let organization = read(origin).ok().map(|(_, organization_id, ..)| organization_id);
        let fault = error.to_string();
        let letter = DeadLetter::new(origin, organization, Reason::RefusedByStore, fault);
        Self::Dead(Box::new(letter))
    }
}

/// Of which monitor and whose a message is, what is wrong with it, and what it says.
type Read = (MonitorId, OrganizationId, Option<&'static str>, Said);

fn read(origin: &OwnedMessage) -> Result<Read, MalformedMessage> {
    if attribute(origin, "ce_type").is_ok_and(|kind| kind == DEADLINE_TYPE) {
        let DeadlineMessage { monitor_id, organization_id, at } = payload_of(origin)?;
        let fault = (!YEARS.contains(&at.year())).then_some("at must be in the years 2000 to 2999");
        return Ok((monitor_id, organization_id, fault, Said::Deadline(at)));
    }
    let message: ResultMessage = match origin.payload().and_then(storable) {
        Some(cleaned) => serde_json::from_str(&cleaned)?,
        None => payload_of(origin)?,
    };
    let fault = fault_of(&message);
    Ok((message.monitor_id, message.organization_id, fault, Said::Result(Box::new(message))))
}

/// The longest that a result can count, in ms: far longer than two of the longest intervals.
const MAX_VALID_FOR_MS: i64 = 30 * 86_400_000;
/// The years that times lie in; far from where adding to one overflows.
const YEARS: std::ops::Range<i32> = 2000..3000;

/// What is wrong with a result although it parses.
fn fault_of(message: &ResultMessage) -> Option<&'static str> {
    let result = &message.result;
    if (result.outcome == Outcome::Up) != result.failure.is_none() {
        Some("a result has a failure exactly when it is not up")
    } else if result.attempts == 0 {
        Some("attempts must be at least 1")
    } else if !(1..=MAX_VALID_FOR_MS).contains(&result.valid_for_ms) {
        Some("valid_for_ms must be 1 ms to 30 days")
    } else if [result.scheduled_at, result.started_at].iter().any(|at| !YEARS.contains(&at.year()))
    {
        Some("scheduled_at and started_at must be in the years 2000 to 2999")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
