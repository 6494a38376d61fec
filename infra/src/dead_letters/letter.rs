//! What is kept of a message that is itself at fault.

use pulsetrail_domain::{OrganizationId, Position, Timestamp};
use rdkafka::Message;
use rdkafka::message::Headers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::shown::{LetterHeader, Shown, kept};
use crate::store::{DecodeError, Event};

/// The header of a message that is tried again: the id of its dead letter.
pub const RETRY_HEADER: &str = "ce_deadletterid";

/// How much of the fault's description is kept, in characters.
const MAX_DETAIL: usize = 1_000;

/// Why a message can have no effect. None of these is mended by time alone, so that each is a dead
/// letter at once; only what Postgres refuses is tried again first, with back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is not what its topic carries.
    Malformed,
    /// It is an event of a type or version that this program does not know.
    UnknownVersion,
    /// It is about a monitor that does not exist. Monitors are never deleted and are stored before
    /// anything is sent about them.
    UnknownMonitor,
    /// It is about a monitor of another organization than it says.
    OrganizationMismatch,
    /// The monitor's history holds an event that this program cannot read.
    UnreadableHistory,
    /// Postgres refuses what is in it, although it answers.
    RefusedByStore,
    /// Kafka refuses it, as when it is too long.
    RefusedByKafka,
    /// Its slot, or the moment that it is about, lies too far after the database's clock.
    ScheduledAhead,
    /// It was retried after its slot had become too old to be recorded.
    TooLate,
}

impl Reason {
    /// The reason as it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownVersion => "unknown_version",
            Self::UnknownMonitor => "unknown_monitor",
            Self::OrganizationMismatch => "organization_mismatch",
            Self::UnreadableHistory => "unreadable_history",
            Self::RefusedByStore => "refused_by_store",
            Self::RefusedByKafka => "refused_by_kafka",
            Self::ScheduledAhead => "scheduled_ahead",
            Self::TooLate => "too_late",
        }
    }
}

impl From<&DecodeError> for Reason {
    fn from(error: &DecodeError) -> Self {
        match error {
            DecodeError::UnknownVersion { .. } => Self::UnknownVersion,
            DecodeError::Malformed { .. } => Self::Malformed,
        }
    }
}

/// Where a dead letter comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Origin {
    /// A message of Kafka.
    Message {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The place within it.
        offset: i64,
    },
    /// An event of the log.
    Event {
        /// Its place.
        position: Position,
    },
}

/// A message that is itself at fault. This is also the form of the copies in Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Letter {
    /// Its identity, a UUIDv7.
    pub id: Uuid,
    /// Whom it belongs to, where that is known.
    pub organization_id: Option<OrganizationId>,
    /// Who could do nothing with it: `recorder`, `prober`, `projector`, `views`, `scheduler`, …
    pub consumer: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Why it is dead, as a stable code; see [`Reason`].
    pub reason: String,
    /// The fault in words.
    pub detail: String,
    /// The message's key.
    pub key: Option<Shown>,
    /// The message's value, or the event's own fields.
    pub payload: Option<Shown>,
    /// The message's headers, or what would be an event's.
    pub headers: Vec<LetterHeader>,
    /// Whether key, payload and headers were too long to be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub content_missing: bool,
    /// The letter that this message was a retry of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<Uuid>,
    /// When it failed, by the clock of the consumer.
    pub failed_at: Timestamp,
}

impl Letter {
    /// A letter about a message of Kafka.
    pub fn of_message(
        consumer: &str,
        message: &impl Message,
        organization_id: Option<OrganizationId>,
        reason: Reason,
        detail: impl AsRef<str>,
    ) -> Self {
        let origin = Origin::Message {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
        };
        Self {
            key: message.key().map(Shown::of),
            payload: message.payload().map(Shown::of),
            headers: message.headers().map(kept).unwrap_or_default(),
            retry_of: retried_letter(message),
            ..Self::new(consumer, origin, organization_id, reason, detail.as_ref())
        }
    }

    /// A letter about an event of the log that cannot be read.
    #[must_use]
    pub fn of_event(consumer: &str, event: &Event, error: &DecodeError) -> Self {
        let origin = Origin::Event { position: event.position };
        let organization_id = Some(event.organization_id);
        Self {
            key: Some(Shown::of(event.aggregate_id.as_bytes())),
            payload: Some(Shown::of(event.payload.get().as_bytes())),
            headers: vec![
                LetterHeader::text("ce_type", event.cloud_event_type()),
                LetterHeader::text("ce_eventversion", &event.event_version),
                LetterHeader::text("ce_subject", &event.aggregate_id),
                LetterHeader::text("ce_aggregatesequence", event.sequence),
            ],
            ..Self::new(consumer, origin, organization_id, error.into(), &error.to_string())
        }
    }

    fn new(
        consumer: &str,
        origin: Origin,
        organization_id: Option<OrganizationId>,
        reason: Reason,
        detail: &str,
    ) -> Self {
        // A parser may quote what it stumbled over, and Postgres takes no text with a NUL.
        let readable = |char: char| if char.is_control() { '\u{fffd}' } else { char };
        Self {
            id: Uuid::now_v7(),
            organization_id,
            consumer: consumer.to_owned(),
            origin,
            reason: reason.as_str().to_owned(),
            detail: detail.chars().take(MAX_DETAIL).map(readable).collect(),
            key: None,
            payload: None,
            headers: Vec::new(),
            content_missing: false,
            retry_of: None,
            failed_at: chrono::Utc::now(),
        }
    }

    /// The same letter without what may be too long to be sent.
    #[must_use]
    pub(super) fn without_content(self) -> Self {
        Self { key: None, payload: None, headers: Vec::new(), content_missing: true, ..self }
    }

    /// Tells two messages apart that stood at the same place, one after the other: SHA-256 of the
    /// content, each part behind its length.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        let mut take = |part: Option<&Shown>| {
            let bytes = part.and_then(Shown::bytes);
            let length = bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
            digest.update(length.to_be_bytes());
            digest.update(bytes.unwrap_or_default());
        };
        take(self.key.as_ref());
        take(self.payload.as_ref());
        for header in &self.headers {
            take(Some(&Shown::Text(header.key.clone())));
            take(header.value.as_ref());
        }
        digest.finalize().to_vec()
    }

    /// Says in the metrics and in the log that a message was set aside.
    pub fn report(&self) {
        crate::metrics::dead_letter(&self.consumer);
        tracing::warn!(
            dead_letter.id = %self.id,
            dead_letter.consumer = self.consumer,
            dead_letter.origin = ?self.origin,
            dead_letter.reason = self.reason,
            dead_letter.detail = self.detail,
            "a message at fault was set aside as a dead letter"
        );
    }
}

/// The dead letter that a message is a retry of, if it is one.
pub fn retried_letter(message: &impl Message) -> Option<Uuid> {
    let headers = message.headers()?;
    // The newest stands last.
    let header = headers.iter().filter(|header| header.key == RETRY_HEADER).last()?;
    std::str::from_utf8(header.value?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{OwnedMessage, Timestamp};

    use super::*;

    fn message(payload: &[u8]) -> OwnedMessage {
        let timestamp = Timestamp::NotAvailable;
        OwnedMessage::new(Some(payload.to_vec()), None, "t".to_owned(), timestamp, 1, 2, None)
    }

    #[test]
    fn what_a_parser_quotes_can_be_stored_as_a_text() {
        let detail = format!("unknown field `a\0\u{1b}`{}", "x".repeat(2_000));
        let letter = Letter::of_message("c", &message(b"{"), None, Reason::Malformed, detail);
        assert!(letter.detail.starts_with("unknown field `a\u{fffd}\u{fffd}`xx"));
        assert_eq!(letter.detail.chars().count(), MAX_DETAIL);
    }

    #[test]
    fn another_message_at_the_same_place_is_another_letter() {
        let digest = |payload: &[u8]| {
            Letter::of_message("c", &message(payload), None, Reason::Malformed, "").digest()
        };
        assert_eq!(digest(b"one"), digest(b"one"));
        assert_ne!(digest(b"one"), digest(b"two"));
        let empty = Letter::of_message("c", &message(b""), None, Reason::Malformed, "");
        assert_ne!(empty.digest(), Letter { payload: None, ..empty.clone() }.digest());
    }

    #[test]
    fn a_letter_survives_its_way_through_json() {
        let letter = Letter::of_message("c", &message(b"\xff"), None, Reason::Malformed, "d");
        let json = serde_json::to_string(&letter).unwrap();
        assert_eq!(serde_json::from_str::<Letter>(&json).unwrap(), letter);
    }
}
