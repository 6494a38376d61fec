//! An event as it stands in the log, and its way back into a domain event.

use pulsetrail_domain::access::{AccountEvent, OrganizationEvent};
use pulsetrail_domain::annotation::AnnotationEvent;
use pulsetrail_domain::catalogue::current_version;
use pulsetrail_domain::egress::EgressEvent;
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::monitor::MonitorEvent;
use pulsetrail_domain::{MonitorId, OrganizationId, Position, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// An event of the log.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Its place in the one order.
    pub position: Position,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// The kind of aggregate: `monitor`, `health`, `egress`, …
    pub aggregate_type: String,
    /// Which one.
    pub aggregate_id: String,
    /// Its number within the aggregate, from 1.
    pub sequence: i64,
    /// Its name, such as `CheckCompleted`.
    pub event_type: String,
    /// The version of its shape.
    pub event_version: String,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// Its own fields.
    pub payload: Box<RawValue>,
}

/// An event's payload could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is of a type or a version that this program does not know: a newer one has written it.
    #[error("{event_type} has version {event_version}, which this program does not know")]
    UnknownVersion {
        /// The event's name.
        event_type: String,
        /// Its version.
        event_version: String,
    },
    /// It has not the shape of its version.
    #[error("the payload of {event_type} is not well-formed: {source}")]
    Malformed {
        /// The event's name.
        event_type: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl Event {
    /// The event as one of a monitor.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn monitor_event(&self) -> Result<MonitorEvent, DecodeError> {
        self.decode()
    }

    /// The event as one of a monitor's health.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn health_event(&self) -> Result<HealthEvent, DecodeError> {
        self.decode()
    }

    /// The event as one of the shield.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn egress_event(&self) -> Result<EgressEvent, DecodeError> {
        self.decode()
    }

    /// The event as one of an account.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn account_event(&self) -> Result<AccountEvent, DecodeError> {
        self.decode()
    }

    /// The event as one of who may do what in an organization.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn organization_event(&self) -> Result<OrganizationEvent, DecodeError> {
        self.decode()
    }

    /// The event as one of an annotation.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn annotation_event(&self) -> Result<AnnotationEvent, DecodeError> {
        self.decode()
    }

    /// The monitor that the event is about, if it is about one: `monitor` and `health` aggregates
    /// have its id.
    #[must_use]
    pub fn monitor_id(&self) -> Option<MonitorId> {
        let about_one = matches!(self.aggregate_type.as_str(), "monitor" | "health");
        about_one.then(|| Uuid::parse_str(&self.aggregate_id).ok().map(MonitorId)).flatten()
    }

    /// The name of the event's type for other systems: `pulsetrail.<aggregate>.<EventName>`.
    #[must_use]
    pub fn cloud_event_type(&self) -> String {
        format!("pulsetrail.{}.{}", self.aggregate_type, self.event_type)
    }

    fn decode<E: DeserializeOwned>(&self) -> Result<E, DecodeError> {
        if current_version(&self.aggregate_type, &self.event_type) != Some(&self.event_version) {
            return Err(DecodeError::UnknownVersion {
                event_type: self.event_type.clone(),
                event_version: self.event_version.clone(),
            });
        }
        let name = serde_json::Value::from(self.event_type.as_str());
        let tagged = format!("{{{name}:{}}}", self.payload.get());
        serde_json::from_str(&tagged).map_err(|source| DecodeError::Malformed {
            event_type: self.event_type.clone(),
            source,
        })
    }
}
