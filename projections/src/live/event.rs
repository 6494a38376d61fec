//! An event as every subscriber gets it: serialized once, its bytes shared.

use axum::extract::ws::Utf8Bytes;
use chrono::SecondsFormat;
use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use pulsetrail_infra::store::Event;
use serde::Serialize;
use serde_json::value::RawValue;

/// An event of a monitor, ready to be sent.
#[derive(Debug)]
pub(super) struct LiveEvent {
    pub(super) position: Position,
    pub(super) organization_id: OrganizationId,
    pub(super) monitor_id: MonitorId,
    /// The whole message.
    pub(super) message: Utf8Bytes,
}

#[derive(Serialize)]
struct EventMessage<'a> {
    r#type: &'static str,
    position: Position,
    monitor_id: MonitorId,
    event: CloudEvent<'a>,
}

/// CloudEvents 1.0, JSON format, structured mode.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    r#type: String,
    source: &'static str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    organizationid: OrganizationId,
    data: &'a RawValue,
}

impl LiveEvent {
    /// None of an event that is about no monitor.
    pub(super) fn new(event: &Event) -> Option<Self> {
        let monitor_id = event.monitor_id()?;
        let message = EventMessage {
            r#type: "event",
            position: event.position,
            monitor_id,
            event: CloudEvent {
                specversion: "1.0",
                id: event.position.to_string(),
                r#type: event.cloud_event_type(),
                source: "/pulsetrail",
                subject: &event.aggregate_id,
                time: event.recorded_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                datacontenttype: "application/json",
                organizationid: event.organization_id,
                data: &event.payload,
            },
        };
        // It holds nothing that JSON cannot hold.
        let message = serde_json::to_string(&message).ok()?;
        Some(Self {
            position: event.position,
            organization_id: event.organization_id,
            monitor_id,
            message: message.into(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use pulsetrail_domain::timestamp_from_millis;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    /// An event of an organization's monitor.
    pub(in crate::live) fn stored(position: i64, organization: u128, monitor: u128) -> Event {
        Event {
            position: Position(position),
            organization_id: OrganizationId(Uuid::from_u128(organization)),
            aggregate_type: "monitor".to_owned(),
            aggregate_id: Uuid::from_u128(monitor).to_string(),
            sequence: 1,
            event_type: "MonitorPaused".to_owned(),
            event_version: "1.0".to_owned(),
            recorded_at: timestamp_from_millis(1_700_000_000_123),
            payload: RawValue::from_string("{}".to_owned()).unwrap(),
        }
    }

    /// The same, ready to be sent.
    pub(in crate::live) fn live(position: i64, organization: u128, monitor: u128) -> LiveEvent {
        LiveEvent::new(&stored(position, organization, monitor)).unwrap()
    }

    #[test]
    fn an_event_is_a_cloud_event_in_structured_mode() {
        let message: serde_json::Value =
            serde_json::from_str(live(7, 1, 2).message.as_str()).unwrap();
        let expected = json!({
            "type": "event", "position": 7, "monitor_id": Uuid::from_u128(2),
            "event": {
                "specversion": "1.0", "id": "7", "type": "pulsetrail.monitor.MonitorPaused",
                "source": "/pulsetrail", "subject": Uuid::from_u128(2),
                "time": "2023-11-14T22:13:20.123Z", "datacontenttype": "application/json",
                "organizationid": Uuid::from_u128(1), "data": {},
            },
        });
        assert_eq!(message, expected);
    }

    #[test]
    fn an_event_about_no_monitor_is_not_for_the_feed() {
        let event = Event { aggregate_type: "egress".to_owned(), ..stored(7, 1, 2) };
        assert!(LiveEvent::new(&event).is_none());
    }
}
