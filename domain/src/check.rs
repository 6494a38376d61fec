//! What a check finds out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, Region, Timestamp};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target answered as expected.
    Up,
    /// It did not; `failure` says how.
    Down,
    /// The shield refused to dial the target. It counts neither as up nor as down.
    Blocked,
}

/// Why a check failed, as a stable code that starts with the phase it failed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The name does not exist (RFC 2308).
    DnsNxdomain,
    /// The resolver answered SERVFAIL.
    DnsServfail,
    /// The resolver answered REFUSED.
    DnsRefused,
    /// The resolver did not answer in time.
    DnsTimeout,
    /// The name exists and has no address, or no record of the type that was asked for.
    DnsNoRecords,
    /// An expected answer is not among those that came.
    DnsAnswerUnexpected,
    /// The name has more records than a check looks at.
    DnsTooManyAnswers,
    /// The address refused the connection.
    ConnectRefused,
    /// The connection was reset while it was made.
    ConnectReset,
    /// No answer to the connection attempt in time.
    ConnectTimeout,
    /// No route to the address.
    ConnectUnreachable,
    /// The certificate has expired.
    TlsExpired,
    /// The certificate is not valid yet.
    TlsNotYetValid,
    /// The certificate is for another name.
    TlsWrongHost,
    /// The certificate is signed by itself.
    TlsSelfSigned,
    /// The certificate's issuer is not trusted.
    TlsUnknownIssuer,
    /// The server leaves out a certificate between its own and a trusted one.
    TlsIncompleteChain,
    /// The server sends more certificates than a check looks at.
    TlsChainTooLong,
    /// No TLS version or cipher in common.
    TlsProtocol,
    /// The server demands a certificate of the client, and the check has none.
    TlsClientCertificate,
    /// The handshake failed in another way.
    TlsHandshake,
    /// The handshake did not end in time.
    TlsTimeout,
    /// No first byte of the answer in time.
    HttpTimeoutFirstByte,
    /// The body did not end in time.
    HttpTimeoutBody,
    /// The connection was closed before the answer ended.
    HttpClosedEarly,
    /// The answer is not HTTP, or its framing or its compression is broken.
    HttpInvalid,
    /// The answer's body or header is larger than the limit.
    HttpTooLarge,
    /// More redirects than allowed, and the last led back to an address visited before.
    HttpRedirectLoop,
    /// More redirects than allowed.
    HttpTooManyRedirects,
    /// A redirect without a usable `Location`.
    HttpRedirectInvalid,
    /// A redirect from https to http.
    HttpDowngrade,
    /// The status is not among the expected ones.
    HttpStatusUnexpected,
    /// Something that was asserted of the answer is not true.
    AssertionFailed,
    /// What was asserted takes more work than a check may do, or more time than was left.
    AssertionTooExpensive,
    /// No report came in time.
    HeartbeatMissed,
    /// A report said that what is watched failed.
    HeartbeatFailed,
    /// A secret that the check needs could not be opened: the target was not asked.
    SecretUnavailable,
    /// This prober does not make checks of that kind.
    CheckUnsupported,
    /// The shield refused the address.
    ShieldRefused,
}

/// What exactly failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The stable code.
    pub cause: FailureCause,
    /// One sentence for people; at most 300 characters.
    pub detail: String,
}

/// How long each phase of the check's last attempt took, in microseconds. A phase that was not
/// reached, or that the kind of check has not, is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimingsUs {
    /// Name resolution.
    pub dns: u32,
    /// TCP connect.
    pub connect: u32,
    /// TLS handshake.
    pub tls: u32,
    /// From the request's last byte to the answer's first.
    pub first_byte: u32,
    /// The whole attempt.
    pub total: u32,
}

/// What a check found out besides how it ended. A part that there is nothing to say about is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// The version of HTTP that the final answer came in, where it was not HTTP/1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_version: Option<HttpVersion>,
    /// The certificate that was shown: of every TLS check, and of an HTTPS check that warns of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// What is good for now and will not be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// What the DNS answered, as zone files write it: at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// The assertion that is not true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<FailedAssertion>,
    /// Each attempt, where there was more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptSummary>,
}

/// A version of HTTP, other than the usual HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.0 (RFC 1945).
    #[serde(rename = "1.0")]
    Http10,
    /// HTTP/2 (RFC 9113).
    #[serde(rename = "2")]
    Http2,
}

/// A server's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Until when it is valid.
    pub expires_at: Timestamp,
    /// Whole days until then, from the check's beginning; negative once it has expired.
    pub days_left: i64,
    /// Whom it is for, as a distinguished name (RFC 4514); at most 200 characters.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// How many certificates the server sent.
    pub chain_length: u32,
}

/// What is good for now and will not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// The stable code.
    pub code: WarningCode,
    /// One sentence for people.
    pub detail: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// The certificate expires soon.
    CertificateExpiresSoon,
}

/// An assertion that is not true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedAssertion {
    /// Its place among the target's assertions, from 0.
    pub index: u32,
    /// What was expected, for people; at most 200 characters.
    pub expected: String,
    /// What there was instead, cut to 200 characters, without the monitor's secrets; none where there
    /// was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
}

/// One of several attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptSummary {
    /// When it began, in ms after the check did.
    pub after_ms: u32,
    /// How long it took, in ms.
    pub took_ms: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The final answer's status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Why it was not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FailureCause>,
}

/// The result of one check, as a prober reports it and as `CheckCompleted` keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// The check's identity.
    pub check_id: CheckId,
    /// Where it ran.
    pub region: Region,
    /// The slot; for a check on demand, when it was asked for.
    pub scheduled_at: Timestamp,
    /// When the prober began.
    pub started_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The final answer's status, where there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http_status: Option<u16>,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<Failure>,
    /// How long each phase took.
    pub timings_us: TimingsUs,
    /// Attempts made, at least 1.
    pub attempts: u32,
    /// The monitor's version that the check was made from.
    pub config_version: i64,
    /// How long the result counts as its region's vote, from `scheduled_at`.
    pub valid_for_ms: i64,
    /// What else was found out; none where that is nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub findings: Option<Box<Findings>>,
}

impl CheckResult {
    /// Whether somebody asked for it, instead of the schedule.
    #[must_use]
    pub fn is_on_demand(&self) -> bool {
        self.check_id.0.get_version_num() == 7
    }

    /// The slot in ms since the epoch.
    #[must_use]
    pub fn slot_ms(&self) -> i64 {
        self.scheduled_at.timestamp_millis()
    }
}
