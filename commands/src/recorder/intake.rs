//! From messages to results, or to dead letters.

use pulsetrail_domain::check::Outcome;
use pulsetrail_infra::kafka::payload_of;
use pulsetrail_infra::messages::ResultMessage;
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
                    Self::Dead(Box::new(DeadLetter::new(
                        origin,
                        organization,
                        Reason::Malformed,
                        fault,
                    )))
                }
            },
            Err(error) => Self::Dead(Box::new(DeadLetter::new(
                origin,
                None,
                Reason::Malformed,
                error.to_string(),
            ))),
        }
    }
}

/// What is wrong with a result although it parses.
fn fault_of(message: &ResultMessage) -> Option<&'static str> {
    let result = &message.result;
    if (result.outcome == Outcome::Up) != result.failure.is_none() {
        Some("a result has a failure exactly when it is not up")
    } else if result.attempts == 0 || result.valid_for_ms <= 0 {
        Some("attempts and valid_for_ms must be at least 1")
    } else {
        None
    }
}
