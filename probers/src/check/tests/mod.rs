//! Checks against real targets on loopback.

mod bounded;
mod causes;
mod credentials;
mod differential;
pub(super) mod encoding;
mod hostile;
mod http;
mod http2;
mod kinds;
mod lenient;
mod mutual_tls;
mod openssl;
mod pattern;
mod proxy;
mod redirects;
mod resolving;
mod target;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::{CheckResult, FailureCause, Outcome};
use pulsetrail_domain::monitor::{HttpTarget, Retries, Target, TargetUrl};
use pulsetrail_domain::{MonitorId, OrganizationId, Region};
use pulsetrail_infra::messages::{Job, ResultMessage};
use rustls::RootCertStore;

use super::{Checker, TlsClients};
use crate::fuzz_tests::entries;
use crate::shield::Shield;

/// A shield that lets loopback IPv4 through and nothing else that its table refuses.
fn shield() -> Shield {
    Shield::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new()).unwrap()
}

fn checker() -> Checker {
    Checker::new(shield()).unwrap()
}

fn checker_trusting(roots: RootCertStore) -> Checker {
    Checker::with_tls(shield(), TlsClients::with_roots(roots).unwrap())
}

fn get(url: &str) -> HttpTarget {
    HttpTarget::get(TargetUrl::try_from(url.to_owned()).unwrap())
}

fn job(target: HttpTarget) -> Job {
    let one = entries::job(target);
    Job { timeout_ms: 10_000, retries: Retries::default(), config_version: 3, ..one }
}

async fn check(target: HttpTarget) -> ResultMessage {
    checker().run(&job(target)).await
}

async fn check_within(target: HttpTarget, timeout_ms: u32) -> CheckResult {
    checker().run(&Job { timeout_ms, ..job(target) }).await.result
}

fn url(scheme: &str, address: SocketAddr, path: &str) -> String {
    format!("{scheme}://{address}{path}")
}

#[track_caller]
fn assert_failed(result: &CheckResult, cause: FailureCause) {
    let failure = result.failure.as_ref().unwrap_or_else(|| panic!("{cause:?}, not {result:?}"));
    assert_eq!(failure.cause, cause, "{}", failure.detail);
    assert!(failure.detail.ends_with('.') && failure.detail.chars().count() <= 300);
    let expected =
        if cause == FailureCause::ShieldRefused { Outcome::Blocked } else { Outcome::Down };
    assert_eq!(result.outcome, expected);
}
