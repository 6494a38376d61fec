//! What happens to a monitor's health.

use cqrs_es::DomainEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Health, HealthStatus};
use crate::catalogue::current_version;
use crate::check::{CheckResult, Failure};
use crate::{CheckId, Timestamp};

/// What has happened to a monitor's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HealthEvent {
    /// A check ended.
    CheckCompleted(Box<CheckResult>),
    /// The monitor is down from `since` on.
    WentDown {
        /// The slot of the first failure of the run that completed the quorum.
        since: Timestamp,
        /// What failed in the check that completed it.
        cause: Failure,
        /// That check.
        check_id: CheckId,
    },
    /// The monitor is up again.
    Recovered {
        /// When it went down.
        since: Timestamp,
        /// How long it was down, in ms.
        down_for_ms: i64,
        /// The check that showed it.
        check_id: CheckId,
    },
    /// Results change nothing from here on: the monitor is paused.
    ObservationPaused {
        /// The slot of the result that met the pause.
        at: Timestamp,
        /// The monitor's version that paused it.
        monitor_version: i64,
    },
    /// Results count again, from a clean slate.
    ObservationResumed {
        /// The slot of the first result after the pause.
        at: Timestamp,
        /// The monitor's version that resumed it.
        monitor_version: i64,
    },
    /// Nothing is known of the monitor from `since` on: no region has a result that still counts.
    ObservationLost {
        /// When the last result stopped to count; where there was none, when the first was overdue.
        since: Timestamp,
    },
    /// A result counts again. What was known before holds until results change it.
    ObservationRegained {
        /// Since when nothing was known.
        since: Timestamp,
        /// For how long, in ms.
        lost_for_ms: i64,
        /// What was known before.
        status: HealthStatus,
        /// The check that ended it.
        check_id: CheckId,
    },
}

impl DomainEvent for HealthEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.version().to_owned()
    }
}

impl HealthEvent {
    /// The event's type, as the store names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CheckCompleted(_) => "CheckCompleted",
            Self::WentDown { .. } => "WentDown",
            Self::Recovered { .. } => "Recovered",
            Self::ObservationPaused { .. } => "ObservationPaused",
            Self::ObservationResumed { .. } => "ObservationResumed",
            Self::ObservationLost { .. } => "ObservationLost",
            Self::ObservationRegained { .. } => "ObservationRegained",
        }
    }

    /// The version of the event's shape, from the catalogue.
    #[must_use]
    pub fn version(&self) -> &'static str {
        current_version(Health::AGGREGATE, self.name()).unwrap_or_default()
    }
}
