//! Jobs whose checks are not made: each is counted by its reason, and the log names their number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pulsetrail_infra::messages::Job;
use pulsetrail_infra::metrics;
use tokio::time::sleep;

/// How often dropped jobs are logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Why a job's check was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    /// The deadline had passed when the prober read the job, or the prober was stalled until then.
    Deadline,
    /// The job waited for a permit of its host until its deadline.
    HostLimit,
    /// The job waited for a permit of the prober until its deadline.
    CheckLimit,
    /// Too many jobs of its organization wait, of which the oldest are made first.
    OrganizationLimit,
    /// The check ended in a fault of the prober's own.
    Panic,
}

impl DropReason {
    const ALL: [Self; 5] =
        [Self::Deadline, Self::HostLimit, Self::CheckLimit, Self::OrganizationLimit, Self::Panic];

    /// The reason as metrics and the log write it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::HostLimit => "host_limit",
            Self::CheckLimit => "check_limit",
            Self::OrganizationLimit => "organization_limit",
            Self::Panic => "panic",
        }
    }

    /// The reason for people.
    fn sentence(self) -> &'static str {
        match self {
            Self::Deadline => {
                "checks were not made: their deadline passed before the prober could begin them"
            }
            Self::HostLimit => {
                "checks were not made: their organizations had too many checks of the same host under way"
            }
            Self::CheckLimit => {
                "checks were not made: their organizations had too many checks under way"
            }
            Self::OrganizationLimit => {
                "checks were not made: too many jobs of their organization were waiting"
            }
            Self::Panic => "checks failed by a fault of the prober; the log shows each panic",
        }
    }
}

/// The dropped jobs that are not logged yet, by reason.
#[derive(Debug, Default)]
pub(super) struct Drops {
    unlogged: [AtomicU64; DropReason::ALL.len()],
}

impl Drops {
    /// Counts a job whose check is not made.
    pub(super) fn count(&self, job: &Job, reason: DropReason) {
        metrics::job_dropped(reason.as_str());
        self.unlogged[reason as usize].fetch_add(1, Ordering::Relaxed);
        tracing::debug!(
            monitor.id = %job.monitor_id, check.id = %job.check_id, reason = reason.as_str(),
            "a check was not made"
        );
    }

    /// Logs the dropped jobs every few seconds, for ever: one line for each reason.
    pub(super) async fn log_regularly(&self) {
        loop {
            sleep(LOG_EVERY).await;
            self.log();
        }
    }

    /// Logs the dropped jobs that are not logged yet.
    pub(super) fn log(&self) {
        for (reason, jobs) in self.take_unlogged() {
            let (sentence, reason) = (reason.sentence(), reason.as_str());
            tracing::warn!(reason, jobs, "{sentence}");
        }
    }

    fn take_unlogged(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let counts = DropReason::ALL.into_iter().zip(&self.unlogged);
        let counts = counts.map(|(reason, count)| (reason, count.swap(0, Ordering::Relaxed)));
        counts.filter(|(_, jobs)| *jobs > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::job;
    use super::*;

    #[test]
    fn each_reason_is_logged_once_with_the_number_of_jobs() {
        let drops = Drops::default();
        for _ in 0..3 {
            drops.count(&job(), DropReason::HostLimit);
        }
        drops.count(&job(), DropReason::Deadline);
        let unlogged = || drops.take_unlogged().collect::<Vec<_>>();
        assert_eq!(unlogged(), [(DropReason::Deadline, 1), (DropReason::HostLimit, 3)]);
        assert_eq!(unlogged(), []);
    }
}
