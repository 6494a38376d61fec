//! CloudEvents 1.0 over Kafka in binary mode: attributes in `ce_*` headers, the data in the value.

use chrono::{DateTime, SecondsFormat, Utc};
use pulsetrail_domain::{OrganizationId, Position};
use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::store::{Event, to_current};
use crate::trace::{TRACEPARENT, Traceparent};

/// A message is not what its topic carries: a dead letter, never retried as it is.
#[derive(Debug, thiserror::Error)]
pub enum MalformedMessage {
    /// A header that must be there is not, or is no text.
    #[error("the header {0} is missing or is no text")]
    Header(&'static str),
    /// A header has not the form that it must have.
    #[error("the header {0} is not well-formed")]
    HeaderForm(&'static str),
    /// There is no value.
    #[error("the message has no value")]
    Empty,
    /// The value is no JSON of the expected shape.
    #[error("the value is not well-formed: {0}")]
    Json(#[from] serde_json::Error),
}

/// The headers of a message that is not a domain event.
#[must_use]
pub fn message_headers(
    kind: &str,
    id: &str,
    time: DateTime<Utc>,
    organization_id: OrganizationId,
) -> OwnedHeaders {
    let organization_id = organization_id.to_string();
    let time = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_type", kind),
        ("ce_source", "/pulsetrail"),
        ("ce_time", &time),
        ("ce_organizationid", &organization_id),
        ("content-type", "application/json"),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Headers that also say which trace the message is a part of.
#[must_use]
pub fn traced(headers: OwnedHeaders, trace: &Traceparent) -> OwnedHeaders {
    headers.insert(Header { key: TRACEPARENT, value: Some(trace.as_str()) })
}

/// The trace that a message says it is a part of, where it says one.
pub fn trace_of(message: &impl Message) -> Option<Traceparent> {
    Traceparent::parse(attribute(message, TRACEPARENT).ok()?)
}

/// The headers of a domain event. `previous` is the position of the event before it in the log: a
/// consumer that has not applied that one knows that it missed something.
#[must_use]
pub fn event_headers(event: &Event, previous: Position) -> OwnedHeaders {
    let id = event.position.to_string();
    let kind = event.cloud_event_type();
    let headers = message_headers(&kind, &id, event.recorded_at, event.organization_id);
    let (sequence, previous) = (event.sequence.to_string(), previous.to_string());
    [
        ("ce_subject", event.aggregate_id.as_str()),
        ("ce_aggregatesequence", &sequence),
        ("ce_eventversion", &event.event_version),
        ("ce_previousposition", &previous),
    ]
    .into_iter()
    .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

/// A header's text.
///
/// # Errors
/// [`MalformedMessage::Header`] where it is missing or no UTF-8.
pub fn attribute<'a, M: Message>(
    message: &'a M,
    key: &'static str,
) -> Result<&'a str, MalformedMessage> {
    message
        .headers()
        .and_then(|headers| headers.iter().find(|header| header.key == key))
        .and_then(|header| header.value)
        .and_then(|value| std::str::from_utf8(value).ok())
        .ok_or(MalformedMessage::Header(key))
}

/// The value of a message.
///
/// # Errors
/// [`MalformedMessage`] where it is empty or not of the shape.
pub fn payload_of<T: DeserializeOwned>(message: &impl Message) -> Result<T, MalformedMessage> {
    Ok(serde_json::from_slice(message.payload().ok_or(MalformedMessage::Empty)?)?)
}

/// A domain event from its message, and the position of the event before it in the log.
///
/// # Errors
/// [`MalformedMessage`] where an attribute is missing or not of its form.
pub fn event_from_message(message: &impl Message) -> Result<(Event, Position), MalformedMessage> {
    fn parsed<T: std::str::FromStr>(
        message: &impl Message,
        key: &'static str,
    ) -> Result<T, MalformedMessage> {
        attribute(message, key)?.parse().map_err(|_| MalformedMessage::HeaderForm(key))
    }
    let kind = attribute(message, "ce_type")?;
    let (aggregate_type, event_type) = kind
        .strip_prefix("pulsetrail.")
        .and_then(|rest| rest.split_once('.'))
        .ok_or(MalformedMessage::HeaderForm("ce_type"))?;
    let event = Event {
        position: Position(parsed(message, "ce_id")?),
        organization_id: parsed(message, "ce_organizationid")?,
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: attribute(message, "ce_subject")?.to_owned(),
        sequence: parsed(message, "ce_aggregatesequence")?,
        event_type: event_type.to_owned(),
        event_version: attribute(message, "ce_eventversion")?.to_owned(),
        recorded_at: parsed(message, "ce_time")?,
        payload: payload_of::<Box<RawValue>>(message)?,
    };
    // The topic keeps what an older version published.
    Ok((to_current(event), Position(parsed(message, "ce_previousposition")?)))
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::catalogue::current_version;
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn message(event: &Event, previous: i64) -> OwnedMessage {
        OwnedMessage::new(
            Some(event.payload.get().as_bytes().to_vec()),
            None,
            "pulsetrail.events".to_owned(),
            Timestamp::NotAvailable,
            0,
            0,
            Some(event_headers(event, Position(previous))),
        )
    }

    #[test]
    fn an_event_survives_its_way_through_a_message() {
        let event = Event {
            position: Position(7),
            organization_id: OrganizationId::default(),
            aggregate_type: "health".to_owned(),
            aggregate_id: "some id".to_owned(),
            sequence: 3,
            event_type: "WentDown".to_owned(),
            event_version: current_version("health", "WentDown").unwrap().to_owned(),
            recorded_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            payload: RawValue::from_string(r#"{"a":1}"#.to_owned()).unwrap(),
        };
        let (back, previous) = event_from_message(&message(&event, 5)).unwrap();
        assert_eq!(previous, Position(5));
        assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(&event).unwrap());
    }

    #[test]
    fn a_message_without_attributes_is_malformed() {
        let bare =
            OwnedMessage::new(None, None, "t".to_owned(), Timestamp::NotAvailable, 0, 0, None);
        assert!(matches!(event_from_message(&bare), Err(MalformedMessage::Header("ce_type"))));
    }
}
