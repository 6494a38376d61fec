//! Events of what the shield refused, on their way into the store.

use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::egress::EgressEvent;
use serde_json::Value;

use super::{Append, NewEvent};

impl NewEvent {
    /// An event of the shield, as it is stored: its own fields without its name.
    ///
    /// # Errors
    /// None for the events that there are; serde's signature asks for it.
    pub fn egress(event: &EgressEvent) -> Result<Self, serde_json::Error> {
        let mut tagged = serde_json::to_value(event)?;
        let own = tagged.get_mut(event.name()).map(Value::take).unwrap_or_default();
        Ok(Self {
            event_type: event.name(),
            event_version: event.version(),
            payload: own.to_string(),
        })
    }
}

impl Append {
    /// Events of an organization's egress: a stream without invariants.
    #[must_use]
    pub fn egress(organization_id: OrganizationId, events: Vec<NewEvent>) -> Self {
        Self {
            aggregate_type: EgressEvent::AGGREGATE,
            aggregate_id: organization_id.to_string(),
            organization_id,
            expected: None,
            guard: None,
            events,
        }
    }
}
