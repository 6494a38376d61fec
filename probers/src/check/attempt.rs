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
            Err(Fault::AsksForHttp11) => (Outcome::Down, Some(asks_for_http11()), None),
            Err(Fault::Refused(failure, refusal)) => {
                (Outcome::Blocked, Some(failure), Some(refusal))
            }
        };
        let timings_us = stopwatch.stop();
        Self { outcome, http_status, failure, timings_us, refusal, findings }
    }

    /// Makes every text that came from the target fit to be kept and shown: control characters, which a
    /// database may not take, are written as escapes.
    pub(super) fn make_printable(&mut self) {
        let Self { failure, refusal, findings, .. } = self;
        let Findings { certificate, warnings, answers, assertion, .. } = findings;
        let mut texts: Vec<&mut String> = Vec::new();
        texts.extend(refusal.iter_mut().map(|refusal| &mut refusal.url));
        texts.extend(certificate.iter_mut().flat_map(|one| [&mut one.subject, &mut one.issuer]));
        texts.extend(warnings.iter_mut().map(|warning| &mut warning.detail));
        texts.extend(answers.iter_mut());
        if let Some(assertion) = assertion {
            texts.push(&mut assertion.expected);
            texts.extend(assertion.got.as_mut());
        }
        texts.into_iter().for_each(make_printable);
        if let Some(failure) = failure {
            make_printable(&mut failure.detail);
            cut(&mut failure.detail, MAX_DETAIL);
        }
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
    /// The server does not answer over HTTP/2 and asks for HTTP/1.1 (RFC 9113, section 7).
    AsksForHttp11,
}

/// Writes control characters as zone files have them: `\DDD`, in decimals (RFC 1035, section 5.1), of each
/// byte.
fn make_printable(text: &mut String) {
    if !text.contains(char::is_control) {
        return;
    }
    let mut printable = String::with_capacity(text.len() + 8);
    for one in text.chars() {
        if one.is_control() {
            let mut bytes = [0; 4];
            for byte in one.encode_utf8(&mut bytes).bytes() {
                printable.push_str(&format!("\\{byte:03}"));
            }
        } else {
            printable.push(one);
        }
    }
    *text = printable;
}

fn asks_for_http11() -> Failure {
    failure(
        FailureCause::HttpClosedEarly,
        "The server does not answer over HTTP/2 and asks for HTTP/1.1, which the check does not offer.",
    )
}

/// A failure with its sentence, cut to the length that is allowed.
pub(super) fn failure(cause: FailureCause, detail: impl Into<String>) -> Failure {
    let mut detail = detail.into();
    cut(&mut detail, MAX_DETAIL);
    Failure { cause, detail }
}

/// Cuts a text to so many characters.
fn cut(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
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
                let failure =
                    failure(FailureCause::ShieldRefused, format!("{}.", verdict.reason(url, host)));
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
                    DnsError::ServFail | DnsError::NotUnderstood => FailureCause::DnsServfail,
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

    #[test]
    fn a_text_with_control_characters_is_made_printable() {
        let mut text = "a\0b\n\u{85}ü".to_owned();
        make_printable(&mut text);
        assert_eq!(text, r"a\000b\010\194\133ü");
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
