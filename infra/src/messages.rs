//! What travels through Kafka besides domain events: jobs to probers, results from them, and the
//! scheduler's word that results are overdue.

use pulsetrail_domain::check::CheckResult;
pub use pulsetrail_domain::egress::Refusal;
use pulsetrail_domain::egress::{EgressEvent, EgressOrigin};
use pulsetrail_domain::monitor::{Retries, Target};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region, Timestamp};
use serde::{Deserialize, Serialize};

use crate::secrets::SealedSecrets;

/// One check to be made. Topic `jobs.<region>`, or `jobs.<region>.now` of a check on demand;
/// key: the monitor's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The check.
    pub check_id: CheckId,
    /// Of which monitor.
    pub monitor_id: MonitorId,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// From where.
    pub region: Region,
    /// The slot.
    pub scheduled_at: Timestamp,
    /// The latest moment at which the check may begin; after it the job is dropped. A check that has begun
    /// gets its whole timeout.
    pub deadline: Timestamp,
    /// What to check.
    pub target: Target,
    /// How long the check may take in all, in ms.
    pub timeout_ms: u32,
    /// How it tries again.
    pub retries: Retries,
    /// The monitor's version that the job was made from.
    pub config_version: i64,
    /// How long the result counts, in ms from the slot.
    pub valid_for_ms: i64,
    /// The secrets that the target names, sealed.
    #[serde(default, skip_serializing_if = "SealedSecrets::is_empty")]
    pub secrets: SealedSecrets,
}

/// What came of a job. Topic `results`, key: the monitor's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultMessage {
    /// Of which monitor.
    pub monitor_id: MonitorId,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// The result.
    pub result: CheckResult,
    /// What the shield refused, when the outcome is `blocked`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refusal: Option<Refusal>,
}

impl ResultMessage {
    /// The event of the refusal that ended the check, if one did: the prober reports it, and the
    /// recorder stores it.
    #[must_use]
    pub fn blocked(&self) -> Option<EgressEvent> {
        let (monitor, check) = (Some(self.monitor_id), Some(self.result.check_id));
        let refusal = self.refusal.clone()?;
        Some(EgressEvent::blocked(EgressOrigin::Probe, monitor, check, refusal))
    }
}

/// Nothing that counts at `at` was seen by then. Topic `results`, key: the monitor's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineMessage {
    /// Of which monitor.
    pub monitor_id: MonitorId,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// When the last result that was seen stopped to count, or the first was overdue.
    pub at: Timestamp,
}

/// The `ce_type` of a [`Job`].
pub const JOB_TYPE: &str = "pulsetrail.job";
/// The `ce_type` of a [`DeadlineMessage`].
pub const DEADLINE_TYPE: &str = "pulsetrail.deadline";
/// The `ce_type` of a [`ResultMessage`].
pub const RESULT_TYPE: &str = "pulsetrail.result";
