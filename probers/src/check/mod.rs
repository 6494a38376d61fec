//! Checks: what a job asks for, carried out, measured and reported.

mod assertions;
mod attempt;
mod body;
mod certificate;
mod cookies;
mod credentials;
mod decode;
mod dns;
mod exchange;
mod http;
mod http2;
mod json;
mod json_value;
mod pattern;
mod redact;
mod redirect;
mod retry;
mod socket;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod wire;
mod work;

use std::sync::Arc;

use std::path::Path;

use chrono::Utc;
use pulsetrail_domain::check::{AttemptSummary, CheckResult, Findings, Outcome};
use pulsetrail_domain::monitor::Target;
use pulsetrail_domain::timestamp_from_millis;
use pulsetrail_infra::messages::{Job, ResultMessage};
use pulsetrail_infra::secrets::Keyring;
use tokio::time::Instant;

use attempt::Attempt;
use credentials::Credentials;
pub use tls::TlsClients;

use crate::shield::Shield;

/// Makes checks.
pub struct Checker {
    shield: Shield,
    tls: TlsClients,
    /// None where no secret can be opened.
    keyring: Option<Keyring>,
    /// Where costly work is done.
    pool: Arc<work::Pool>,
}

impl Checker {
    /// A checker that dials through `shield`. It reads the machine's trusted roots.
    ///
    /// # Errors
    /// When the cryptography is not usable.
    pub fn new(shield: Shield) -> Result<Self, rustls::Error> {
        Self::trusting(shield, None)
    }

    /// The same, which also trusts the certificates in a PEM file.
    ///
    /// # Errors
    /// When the cryptography is not usable, or the file cannot be read or has no certificate.
    pub fn trusting(shield: Shield, file: Option<&Path>) -> Result<Self, rustls::Error> {
        Ok(Self::with_tls(shield, TlsClients::with_system_roots(file)?))
    }

    /// A checker with its own idea of which certificates are trusted.
    #[must_use]
    pub fn with_tls(shield: Shield, tls: TlsClients) -> Self {
        Self { shield, tls, keyring: None, pool: Arc::new(work::Pool::of_this_machine()) }
    }

    /// The same, where the secrets of a job can be opened.
    #[must_use]
    pub fn opening_with(self, keyring: Keyring) -> Self {
        Self { keyring: Some(keyring), ..self }
    }

    /// Makes a job's check: as many attempts as it takes and allows, within the check's timeout. It always
    /// ends with a result. The job's deadline is the caller's to keep: it is for the begin alone.
    pub async fn run(&self, job: &Job) -> ResultMessage {
        let started_at = timestamp_from_millis(Utc::now().timestamp_millis());
        let timeout = std::time::Duration::from_millis(job.timeout_ms.into());
        let deadline = Instant::now() + timeout;
        let (attempt, mut all) = self.attempts(job, deadline).await;
        let Attempt { outcome, http_status, failure, timings_us, refusal, mut findings } = attempt;
        let attempts = u32::try_from(all.len()).unwrap_or(u32::MAX).max(1);
        if attempts > 1 {
            findings.attempts.append(&mut all);
        }
        let findings = (findings != Findings::default()).then(|| Box::new(findings));
        ResultMessage {
            monitor_id: job.monitor_id,
            organization_id: job.organization_id,
            result: CheckResult {
                check_id: job.check_id,
                region: job.region.clone(),
                scheduled_at: job.scheduled_at,
                started_at,
                outcome,
                http_status,
                failure,
                timings_us,
                attempts,
                config_version: job.config_version,
                valid_for_ms: job.valid_for_ms,
                findings,
            },
            refusal,
        }
    }

    /// The last attempt, and what each came to.
    async fn attempts(&self, job: &Job, deadline: Instant) -> (Attempt, Vec<AttemptSummary>) {
        let credentials = match Credentials::open(self.keyring.as_ref(), job) {
            Ok(credentials) => credentials,
            Err(failure) => return (Attempt::not_made(failure), Vec::new()),
        };
        let attempt = || self.attempt(job, &credentials, deadline);
        let (mut last, all) = retry::until_settled(&job.retries, deadline, attempt).await;
        credentials.redactor().clean(&mut last);
        last.make_printable();
        (last, all)
    }

    async fn attempt(&self, job: &Job, credentials: &Credentials, deadline: Instant) -> Attempt {
        match &job.target {
            Target::Http(target) => {
                let pool = Arc::clone(&self.pool);
                let work = work::Work { pool, organization_id: job.organization_id, deadline };
                http::attempt(&self.shield, &self.tls, target, credentials, work).await
            }
            Target::Tcp(target) => socket::tcp(&self.shield, target, deadline).await,
            Target::Tls(target) => {
                let client = credentials.client();
                socket::tls(&self.shield, &self.tls, target, client, deadline).await
            }
            Target::Dns(target) => dns::attempt(&self.shield, target, deadline).await,
            other @ Target::Heartbeat(_) => Attempt::unsupported(other.kind()),
        }
    }
}

/// An outcome's name, as metrics and messages write it.
#[must_use]
pub fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Up => "up",
        Outcome::Down => "down",
        Outcome::Blocked => "blocked",
    }
}
