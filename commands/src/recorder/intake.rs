//! From messages to results, or to dead letters.

use chrono::Datelike;
use pulsetrail_domain::check::Outcome;
use pulsetrail_infra::kafka::payload_of;
use pulsetrail_infra::messages::ResultMessage;
use pulsetrail_infra::store::StoreError;
use rdkafka::message::OwnedMessage;

use super::dead_letter::{DeadLetter, Reason};

/// What a message turned out to be.
pub(super) enum Intake {
    Result(Box<Received>),
    Dead(Box<DeadLetter>),
}

/// A result, and the message it came in.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) message: ResultMessage,
    pub(super) origin: OwnedMessage,
}

impl Intake {
    pub(super) fn from_message(origin: &OwnedMessage) -> Self {
        match payload_of::<ResultMessage>(origin) {
            Ok(message) => match fault_of(&message) {
                None => Self::Result(Box::new(Received { message, origin: origin.clone() })),
                Some(fault) => {
                    let organization = Some(message.organization_id);
                    let letter = DeadLetter::new(origin, organization, Reason::Malformed, fault);
                    Self::Dead(Box::new(letter))
                }
            },
            Err(error) => {
                let fault = error.to_string();
                Self::Dead(Box::new(DeadLetter::new(origin, None, Reason::Malformed, fault)))
            }
        }
    }

    /// A message that Postgres refuses for what is in it.
    pub(super) fn refused(origin: &OwnedMessage, error: &StoreError) -> Self {
        let organization =
            payload_of::<ResultMessage>(origin).ok().map(|message| message.organization_id);
        let fault = error.to_string();
        let letter = DeadLetter::new(origin, organization, Reason::RefusedByStore, fault);
        Self::Dead(Box::new(letter))
    }
}

/// The longest that a result can count, in ms: far longer than two of the longest intervals.
const MAX_VALID_FOR_MS: i64 = 30 * 86_400_000;
/// The years that times lie in; far from where adding to one overflows.
const YEARS: std::ops::Range<i32> = 2000..3000;

/// What is wrong with a result although it parses.
fn fault_of(message: &ResultMessage) -> Option<&'static str> {
    let result = &message.result;
    let texts = [
        result.failure.as_ref().map(|failure| failure.detail.as_str()),
        message.refusal.as_ref().map(|refusal| refusal.url.as_str()),
        message.refusal.as_ref().map(|refusal| refusal.address.as_str()),
        message.refusal.as_ref().map(|refusal| refusal.range.as_str()),
    ];
    if (result.outcome == Outcome::Up) != result.failure.is_none() {
        Some("a result has a failure exactly when it is not up")
    } else if result.attempts == 0 {
        Some("attempts must be at least 1")
    } else if !(1..=MAX_VALID_FOR_MS).contains(&result.valid_for_ms) {
        Some("valid_for_ms must be 1 ms to 30 days")
    } else if [result.scheduled_at, result.started_at].iter().any(|at| !YEARS.contains(&at.year()))
    {
        Some("scheduled_at and started_at must be in the years 2000 to 2999")
    } else if texts.into_iter().flatten().any(|text| text.contains('\0')) {
        Some("a text must not contain NUL, which Postgres does not take")
    } else {
        None
    }
}
