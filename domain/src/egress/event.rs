//! What the shield refused: the audit log of an organization.

use cqrs_es::DomainEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::current_version;
use crate::{CheckId, MonitorId};

/// Where an address met the shield.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EgressOrigin {
    /// A URL that somebody wanted to have watched.
    Registration,
    /// A check.
    Probe,
    /// A notification.
    Webhook,
}

/// What has happened to an organization's outgoing connections. The aggregate has the organization's
/// id and no invariants: its events take whatever sequence comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum EgressEvent {
    /// The shield refused an address.
    EgressBlocked {
        /// Where it met the shield.
        origin: EgressOrigin,
        /// The monitor that led there, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        monitor_id: Option<MonitorId>,
        /// The check that led there, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check_id: Option<CheckId>,
        /// The URL that was to be dialled.
        url: String,
        /// The address, if it stands in the URL. What a name leads to is not told: it may be a name of the
        /// network that a prober is in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// The refused range that the address lies in, such as `10.0.0.0/8`, or
        /// [`OWN_RANGE`](super::OWN_RANGE).
        range: String,
    },
}

impl EgressEvent {
    /// The aggregate type, as the store names it.
    pub const AGGREGATE: &'static str = "egress";

    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::EgressBlocked { .. } => "EgressBlocked",
        }
    }

    /// The version of the event's shape, from the catalogue.
    #[must_use]
    pub fn version(&self) -> &'static str {
        current_version(Self::AGGREGATE, self.name()).unwrap_or_default()
    }
}

impl DomainEvent for EgressEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.version().to_owned()
    }
}
