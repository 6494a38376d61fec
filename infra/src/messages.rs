//! What travels through Kafka besides domain events: jobs to probers, results from them, and the
//! scheduler's word that results are overdue.

use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::monitor::{Retries, Target};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region, Timestamp};
use serde::{Deserialize, Serialize};

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
    /// After this the job is dropped.
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

/// What the shield refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The URL that was to be dialled.
    pub url: String,
    /// The address it led to.
    pub address: String,
    /// The refused range that the address lies in, such as `10.0.0.0/8`.
    pub range: String,
}

/// The `ce_type` of a [`Job`].
pub const JOB_TYPE: &str = "pulsetrail.job";
/// The `ce_type` of a [`DeadlineMessage`].
pub const DEADLINE_TYPE: &str = "pulsetrail.deadline";
/// The `ce_type` of a [`ResultMessage`].
pub const RESULT_TYPE: &str = "pulsetrail.result";
