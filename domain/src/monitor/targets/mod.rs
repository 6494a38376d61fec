//! What is checked, parsed once into values that cannot be wrong.

mod assertion;
mod dns;
mod host;
mod http;
pub mod json_path;
mod pattern;
mod secret;
mod sockets;
mod status;
mod url;
mod warnings;

use std::borrow::Cow;

use ::url::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use assertion::{Assertion, JsonOperator, TextOperator};
pub use dns::{DnsTarget, InvalidResolver, RecordType, ResolverAddress};
pub use host::{InvalidTargetHost, TargetHost};
pub use http::{HttpMethod, HttpTarget, HttpVersions, SECRET_HEADERS, header_value_fault};
pub use json_path::JsonPath;
pub use pattern::{MAX_PATTERN_COST, MAX_PATTERNS_COST, Pattern, PatternBudget};
pub use secret::{ClientCertificate, HttpAuth, SecretRef};
pub use sockets::{HeartbeatTarget, TcpTarget, TlsTarget};
pub use status::{InvalidStatusRange, StatusRange};
pub use url::{InvalidTargetUrl, MAX_URL_BYTES, ShortUrl, TargetUrl, whole_url};

use super::Violation;

/// What a monitor checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Target {
    /// An HTTP or HTTPS request.
    Http(HttpTarget),
    /// A TCP connection.
    Tcp(TcpTarget),
    /// A question to the DNS.
    Dns(DnsTarget),
    /// A TLS handshake and the certificate that it shows.
    Tls(TlsTarget),
    /// Something that reports by itself.
    Heartbeat(HeartbeatTarget),
}

impl Target {
    /// The names of every kind, as `type` has them.
    pub const KINDS: [&'static str; 5] = ["http", "tcp", "dns", "tls", "heartbeat"];

    /// Its kind, as `type` has it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Dns(_) => "dns",
            Self::Tls(_) => "tls",
            Self::Heartbeat(_) => "heartbeat",
        }
    }

    /// The target in short, for people: the URL, `host:port`, or the question.
    #[must_use]
    pub fn summary(&self) -> Cow<'_, str> {
        match self {
            Self::Http(http) => Cow::Borrowed(http.url.as_str()),
            Self::Tcp(tcp) => Cow::Owned(tcp.host.with_port(tcp.port)),
            Self::Dns(dns) => Cow::Owned(format!("{} {}", dns.name, dns.record_type)),
            Self::Tls(tls) => Cow::Owned(tls.host.with_port(tls.port)),
            Self::Heartbeat(_) => Cow::Borrowed("heartbeat"),
        }
    }

    /// Where a check dials first, as a URL, for who reads of a refusal: the URL, `tcp://host:port`,
    /// `tls://host:port`, or the question with its resolver (RFC 4501). None where it dials nothing.
    #[must_use]
    pub fn dialled_url(&self) -> Option<Url> {
        let text = match self {
            Self::Http(http) => return Some(http.url.url().clone()),
            Self::Tcp(tcp) => format!("tcp://{}", tcp.host.with_port(tcp.port)),
            Self::Tls(tls) => format!("tls://{}", tls.host.with_port(tls.port)),
            Self::Dns(dns) => {
                let server = dns.resolver.map(|resolver| format!("//{}/", resolver.0));
                format!("dns:{}{}?type={}", server.unwrap_or_default(), dns.name, dns.record_type)
            }
            Self::Heartbeat(_) => return None,
        };
        Url::parse(&text).ok()
    }

    /// Every secret that a check needs.
    pub fn secrets(&self) -> impl Iterator<Item = SecretRef> {
        let (http, client) = match self {
            Self::Http(http) => (Some(http), None),
            Self::Tls(tls) => (None, tls.client_certificate.as_ref()),
            Self::Tcp(_) | Self::Dns(_) | Self::Heartbeat(_) => (None, None),
        };
        http.into_iter().flat_map(HttpTarget::secrets).chain(client.map(|client| client.key))
    }

    /// Notes every value outside its limits, under `/target`. Patterns are paid for from `patterns`.
    pub(super) fn validate(&self, patterns: &mut PatternBudget, violations: &mut Vec<Violation>) {
        match self {
            Self::Http(http) => http.validate(patterns, violations),
            Self::Tcp(tcp) => tcp.validate(violations),
            Self::Dns(dns) => dns.validate(violations),
            Self::Tls(tls) => tls.validate(violations),
            Self::Heartbeat(heartbeat) => heartbeat.validate(violations),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_needs_its_url_alone() {
        let target: Target =
            serde_json::from_str(r#"{"type":"http","url":"https://example.com"}"#).unwrap();
        let url = TargetUrl::try_from("https://example.com".to_owned()).unwrap();
        assert_eq!(target, Target::Http(HttpTarget::get(url)));
    }

    #[test]
    fn what_is_left_out_of_a_target_has_a_default() {
        let read = |json: &str| serde_json::from_str::<Target>(json).unwrap();
        let tcp = read(r#"{"type":"tcp","host":"EXAMPLE.com","port":22}"#);
        assert_eq!(tcp.summary(), "example.com:22");
        let Target::Tls(tls) = read(r#"{"type":"tls","host":"example.com"}"#) else {
            panic!("another kind")
        };
        assert_eq!((tls.port, tls.warn_days), (443, 14));
        let dns = read(r#"{"type":"dns","name":"_sip._tcp.example.com.","record_type":"SRV"}"#);
        assert_eq!(dns.summary(), "_sip._tcp.example.com SRV");
        let Target::Heartbeat(heartbeat) = read(r#"{"type":"heartbeat"}"#) else {
            panic!("another kind")
        };
        assert_eq!(heartbeat.grace_seconds, 60);
        for (target, kind) in [(tcp, "tcp"), (dns, "dns")] {
            assert_eq!(serde_json::to_value(&target).unwrap()["type"], kind);
            assert_eq!(target.kind(), kind);
        }
    }

    #[test]
    fn every_mistake_in_a_target_is_named_with_its_place() {
        let faults = |json: serde_json::Value| {
            let target: Target = serde_json::from_value(json).unwrap();
            let mut violations = Vec::new();
            target.validate(&mut PatternBudget::default(), &mut violations);
            violations.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        use serde_json::json;
        assert_eq!(
            faults(json!({"type": "tcp", "host": "a.example", "port": 0})),
            ["/target/port"]
        );
        let tls = json!({"type": "tls", "host": "a.example", "port": 0, "warn_days": 400});
        assert_eq!(faults(tls), ["/target/port", "/target/warn_days"]);
        let beat = json!({"type": "heartbeat", "grace_seconds": 1_000_000});
        assert_eq!(faults(beat), ["/target/grace_seconds"]);
        let dns = json!({"type": "dns", "name": "192.0.2.1", "record_type": "A",
            "expected": ["192.0.2.1", "nonsense"], "resolver": "192.0.2.53:0"});
        assert_eq!(faults(dns), ["/target/name", "/target/expected/1", "/target/resolver"]);
        let secret = json!({"secret": "0190b5a0-0000-7000-8000-000000000000"});
        let http = json!({
            "type": "http", "url": "https://example.com",
            "auth": {"type": "basic", "username": "a:b", "password": secret},
            "secret_headers": {"Authorization": secret, "x-one": secret, "X-One": secret, "a b": secret},
            "assertions": [
                {"type": "status", "expected": []},
                {"type": "header", "name": "x y", "operator": "contains"},
                {"type": "body", "operator": "matches", "value": "("},
                {"type": "json_path", "path": "a", "operator": "less_than", "value": "x"},
                {"type": "response_time", "max_ms": 0},
            ],
        });
        let expected = [
            "/target/secret_headers/Authorization",
            "/target/secret_headers/X-One",
            "/target/secret_headers/a b",
            "/target/secret_headers/x-one",
            "/target/auth/username",
            "/target/assertions/0/expected",
            "/target/assertions/1/name",
            "/target/assertions/1/value",
            "/target/assertions/2/value",
            "/target/assertions/3/path",
            "/target/assertions/3/value",
            "/target/assertions/4/max_ms",
        ];
        assert_eq!(faults(http), expected);
    }
}
