//! What one attempt came to.

use std::time::Duration;

use pulsetrail_domain::check::{Failure, FailureCause, Findings, Outcome, TimingsUs};
use pulsetrail_domain::egress::Refusal;
use pulsetrail_domain::monitor::Target;
use tokio::time::Instant;
use url::Url;

use crate::shield::{DialError, DialFailureReason, DnsError};

/// The longest detail of a failure, in characters.
const MAX_DETAIL: usize = 300;

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    pub(super) http_status: Option<u16>,
    pub(super) failure: Option<Failure>,
    pub(super) timings_us: TimingsUs,
    pub(super) refusal: Option<Refusal>,
    pub(super) findings: Findings,
}

impl Attempt {
    /// An attempt that has just ended.
    pub(super) fn ended(
        stopwatch: Stopwatch,
        http_status: Option<u16>,
        ended: Result<(), Fault>,
        findings: Findings,
    ) -> Self {
        let (outcome, failure, refusal) = match ended {
            Ok(()) => (Outcome::Up, None, None),
            Err(Fault::Failed(failure)) => (Outcome::Down, Some(failure), None),
            Err(Fault::Refused(failure, refusal)) => {
                (Outcome::Blocked, Some(failure), Some(refusal))
            }
        };
        let timings_us = stopwatch.stop();
        Self { outcome, http_status, failure, timings_us, refusal, findings }
    }

    /// What comes of a job that is not for this prober.
    pub(super) fn unsupported(kind: &str) -> Self {
        let detail = format!("This prober makes no checks of the kind {kind:?}.");
        Self::not_made(failure(FailureCause::CheckUnsupported, detail))
    }

    /// What comes of a check that cannot be made: the target is not asked.
    pub(super) fn not_made(failure: Failure) -> Self {
        Self {
            outcome: Outcome::Down,
            http_status: None,
            failure: Some(failure),
            timings_us: TimingsUs::default(),
            refusal: None,
            findings: Findings::default(),
        }
    }
}

/// Why an attempt did not go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The target is at fault.
    Failed(Failure),
    /// The shield refused.
    Refused(Failure, Refusal),
}

/// A failure with its sentence, cut to the length that is allowed.
pub(super) fn failure(cause: FailureCause, detail: impl Into<String>) -> Failure {
    let mut detail = detail.into();
    if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
        detail.truncate(end);
    }
    Failure { cause, detail }
}

impl Fault {
    pub(super) fn failed(cause: FailureCause, detail: impl Into<String>) -> Self {
        Self::Failed(failure(cause, detail))
    }

    /// Why a target was not connected to, or not answered about.
    pub(super) fn of_target(reason: &DialFailureReason, target: &Target) -> Self {
        match target.dialled_url() {
            Some(url) => Self::of_dial(reason, &url, &target.summary()),
            None => Self::failed(FailureCause::CheckUnsupported, format!("{reason}.")),
        }
    }

    /// Why `url`, which people know as `host`, was not connected to.
    pub(super) fn of_dial(reason: &DialFailureReason, url: &Url, host: &str) -> Self {
        match reason {
            DialFailureReason::Refused(verdict) => {
                let failure = failure(FailureCause::ShieldRefused, format!("{verdict}."));
                match verdict.refusal(url) {
                    Some(refusal) => Self::Refused(failure, refusal),
                    None => Self::Failed(failure),
                }
            }
            DialFailureReason::Dns(error) => {
                let cause = match error {
                    DnsError::NxDomain | DnsError::InvalidName => FailureCause::DnsNxdomain,
                    DnsError::NoRecords => FailureCause::DnsNoRecords,
                    DnsError::TooMany => FailureCause::DnsTooManyAnswers,
                    DnsError::ServFail => FailureCause::DnsServfail,
                    DnsError::Refused => FailureCause::DnsRefused,
                    DnsError::Timeout => FailureCause::DnsTimeout,
                };
                Self::failed(cause, format!("{host} cannot be resolved: {error}."))
            }
            DialFailureReason::Connect(error) => {
                let cause = match error {
                    DialError::Unreachable(_) => FailureCause::ConnectUnreachable,
                    DialError::Timeout(_) => FailureCause::ConnectTimeout,
                    DialError::Reset(_) => FailureCause::ConnectReset,
                    DialError::Refused(_) => FailureCause::ConnectRefused,
                };
                Self::failed(cause, format!("{error}."))
            }
        }
    }
}

/// Measures an attempt, over all of its hops.
#[derive(Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    phases: TimingsUs,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), phases: TimingsUs::default() }
    }

    pub(super) fn dns(&mut self, took: Duration) {
        add(&mut self.phases.dns, took);
    }

    pub(super) fn connect(&mut self, took: Duration) {
        add(&mut self.phases.connect, took);
    }

    pub(super) fn tls(&mut self, took: Duration) {
        add(&mut self.phases.tls, took);
    }

    pub(super) fn first_byte(&mut self, took: Duration) {
        add(&mut self.phases.first_byte, took);
    }

    /// The phases that were reached, and the whole time until now.
    pub(super) fn stop(mut self) -> TimingsUs {
        add(&mut self.phases.total, self.started.elapsed());
        self.phases
    }
}

fn add(phase: &mut u32, took: Duration) {
    let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    *phase = phase.saturating_add(took);
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_between_characters() {
        let failure = failure(FailureCause::HttpInvalid, "ä".repeat(301));
        assert_eq!(failure.detail.chars().count(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn the_phases_of_all_hops_add_up() {
        let mut stopwatch = Stopwatch::start();
        stopwatch.dns(Duration::from_micros(5));
        stopwatch.dns(Duration::from_micros(6));
        stopwatch.tls(Duration::from_secs(10_000));
        tokio::time::advance(Duration::from_millis(3)).await;
        let timings = stopwatch.stop();
        assert_eq!((timings.dns, timings.tls, timings.total), (11, u32::MAX, 3_000));
    }
}
