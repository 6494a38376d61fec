//! Heartbeats: monitors that nobody checks, because what they watch reports by itself. A report is a
//! result, up unless it says that something failed; where none came in time, there is a check that failed.

use super::{Health, HealthError, HealthEvent, ObservationPolicy, record};
use crate::check::{CheckResult, Failure, FailureCause, Outcome, TimingsUs};
use crate::monitor::{MonitorConfig, Target};
use crate::slot::scheduled_check_id;
use crate::{MonitorId, Region, Timestamp};

/// The longest time in which a second report is taken to be the first one sent again, in ms.
const LONGEST_REPEAT_MS: i64 = 10_000;

/// When a heartbeat monitor's reports are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatPolicy {
    /// The time from one report to the next, in ms.
    pub interval_ms: i64,
    /// How much later than that one may come, in ms.
    pub grace_ms: i64,
}

impl HeartbeatPolicy {
    /// The policy of a monitor's configuration; none where it is no heartbeat.
    #[must_use]
    pub fn of(config: &MonitorConfig) -> Option<Self> {
        match &config.target {
            Target::Heartbeat(heartbeat) => Some(Self {
                interval_ms: config.interval_ms(),
                grace_ms: i64::from(heartbeat.grace_seconds) * 1_000,
            }),
            _ => None,
        }
    }

    /// For how long after a report another one is the same, sent again, in ms: half an interval, 10 s and
    /// the grace at most. So a sender that counts the interval from the repetition is still in time.
    #[must_use]
    pub fn repeat_ms(&self) -> i64 {
        (self.interval_ms / 2).min(LONGEST_REPEAT_MS).min(self.grace_ms)
    }

    /// How long a report counts, in ms.
    #[must_use]
    pub fn valid_for_ms(&self) -> i64 {
        self.interval_ms + self.grace_ms
    }
}

/// What a heartbeat monitor was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its own time, or that of the report that it repeats.
    pub slot: Timestamp,
    /// When it came.
    pub at: Timestamp,
    /// What it says that failed, for people, in whatever words; none where all is well.
    pub failure: Option<String>,
}

/// The longest message of a report that is kept, in characters.
const MAX_MESSAGE: usize = 250;

impl Report {
    /// The report as the result of a check.
    #[must_use]
    pub fn result(
        &self,
        monitor_id: MonitorId,
        region: Region,
        heartbeat: HeartbeatPolicy,
        config_version: i64,
    ) -> CheckResult {
        let failure = self.failure.as_deref().map(|message| Failure {
            cause: FailureCause::HeartbeatFailed,
            detail: failure_detail(message),
        });
        CheckResult {
            check_id: scheduled_check_id(monitor_id, &region, self.slot.timestamp_millis()),
            region,
            scheduled_at: self.slot,
            started_at: self.at,
            outcome: if failure.is_some() { Outcome::Down } else { Outcome::Up },
            http_status: None,
            failure,
            timings_us: TimingsUs::default(),
            attempts: 1,
            config_version,
            valid_for_ms: heartbeat.valid_for_ms(),
            findings: None,
        }
    }
}

/// The sentence about a failure that was reported with this message.
fn failure_detail(message: &str) -> String {
    let printable = |one: char| if one.is_control() { ' ' } else { one };
    let message: String = message.trim().chars().take(MAX_MESSAGE).map(printable).collect();
    match message.trim_end_matches('.') {
        "" => "A report says that it failed.".to_owned(),
        message => format!("A report says that it failed: {message}."),
    }
}

/// What it leads to that no report which counts at `at` was seen: a check that failed, of that slot.
/// Another one follows an interval later, if there is no report by then.
pub(super) fn missed(
    health: &Health,
    monitor_id: MonitorId,
    at: Timestamp,
    policy: &ObservationPolicy,
    heartbeat: HeartbeatPolicy,
) -> Result<Vec<HealthEvent>, HealthError> {
    let region = policy.regions.first().cloned().unwrap_or_default();
    let report = Report { slot: at, at, failure: None };
    let failed = CheckResult {
        outcome: Outcome::Down,
        failure: Some(Failure {
            cause: FailureCause::HeartbeatMissed,
            detail: format!(
                "no report came within {} s and a grace of {} s",
                heartbeat.interval_ms / 1_000,
                heartbeat.grace_ms / 1_000
            ),
        }),
        valid_for_ms: heartbeat.interval_ms,
        ..report.result(monitor_id, region, heartbeat, policy.monitor_version)
    };
    record::decide(health, &failed, policy, true)
}

#[cfg(test)]
mod tests;
