//! An HTTP request and what is expected of its answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::assertion::Assertion;
use super::pattern::PatternBudget;
use super::secret::{ClientCertificate, HttpAuth, SecretRef};
use super::status::StatusRange;
use super::url::TargetUrl;
use crate::monitor::Violation;

/// A request and what is expected of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Where to.
    pub url: TargetUrl,
    /// How; `GET` where it is left out.
    #[serde(default)]
    pub method: HttpMethod,
    /// Header fields to send, by name. `Host` replaces the host of the URL in the request, but neither
    /// where it is sent nor the name that TLS asks for; it goes to the URL's own origin alone.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether a redirect is followed (default) or is the answer.
    #[serde(default = "default_true")]
    pub follow_redirects: bool,
    /// How many redirects are followed at most, 0 to 20.
    #[serde(default = "default_max_redirects")]
    pub max_redirects: u8,
    /// Whether the certificate must be valid (default).
    #[serde(default = "default_true")]
    pub verify_tls: bool,
    /// Which versions of HTTP are offered over TLS. Without TLS a check always speaks HTTP/1.1.
    #[serde(default, skip_serializing_if = "HttpVersions::is_any")]
    pub http_versions: HttpVersions,
    /// Whether a redirect from https to http is followed. By default it is a failure.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_redirects_to_http: bool,
    /// Whether the final answer's body is read (default). Set it to false for an answer that never ends,
    /// such as a stream of server-sent events: status and header alone are then judged.
    #[serde(default = "default_true", skip_serializing_if = "is_true")]
    pub read_body: bool,
    /// The statuses that mean up: `"2xx"`, `"200"` or `"200-299"`.
    #[serde(default = "default_expected_status")]
    pub expected_status: Vec<StatusRange>,
    /// What else must be true of the answer; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    /// Who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// Header fields whose values are secret, by name; they go to the URL's own origin alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, SecretRef>,
    /// The certificate that is shown to a server that asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Box<ClientCertificate>>,
}

fn default_true() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !value
}

fn default_max_redirects() -> u8 {
    5
}

fn default_expected_status() -> Vec<StatusRange> {
    vec![StatusRange { first: 200, last: 299 }]
}

impl HttpTarget {
    /// A `GET` of `url` with every default.
    #[must_use]
    pub fn get(url: TargetUrl) -> Self {
        Self {
            url,
            method: HttpMethod::default(),
            headers: BTreeMap::new(),
            body: None,
            follow_redirects: true,
            max_redirects: default_max_redirects(),
            verify_tls: true,
            http_versions: HttpVersions::Any,
            allow_redirects_to_http: false,
            read_body: true,
            expected_status: default_expected_status(),
            assertions: Vec::new(),
            auth: None,
            secret_headers: BTreeMap::new(),
            client_certificate: None,
        }
    }

    /// Every secret that a request needs.
    pub fn secrets(&self) -> impl Iterator<Item = SecretRef> {
        let of_auth = self.auth.iter().map(HttpAuth::secret);
        let of_client = self.client_certificate.iter().map(|client| client.key);
        of_auth.chain(self.secret_headers.values().copied()).chain(of_client)
    }

    pub(super) fn validate(&self, patterns: &mut PatternBudget, violations: &mut Vec<Violation>) {
        let mut check = |good: bool, pointer: &str, detail: &str| {
            if !good {
                violations.push(Violation::new(pointer, detail));
            }
        };
        check(self.max_redirects <= 20, "/target/max_redirects", "must be at most 20");
        check(
            (1..=20).contains(&self.expected_status.len()),
            "/target/expected_status",
            "must name 1 to 20 statuses",
        );
        check(
            self.body.as_ref().is_none_or(|body| body.len() <= 65_536),
            "/target/body",
            "must have at most 65536 bytes",
        );
        check(self.headers.len() <= 50, "/target/headers", "must be at most 50");
        check(self.secret_headers.len() <= 10, "/target/secret_headers", "must be at most 10");
        check(self.assertions.len() <= 20, "/target/assertions", "must be at most 20");
        if let Some(client) = &self.client_certificate {
            client.validate(violations);
        }
        for (name, value) in &self.headers {
            if let Some(detail) = header_fault(name, value) {
                violations.push(Violation::new(at("headers", name), detail));
            }
        }
        for name in self.secret_headers.keys() {
            if let Some(detail) = self.secret_header_fault(name) {
                violations.push(Violation::new(at("secret_headers", name), detail));
            }
        }
        if let Some(HttpAuth::Basic { username, .. }) = &self.auth
            && (username.len() > 255 || username.chars().any(|one| one.is_control() || one == ':'))
        {
            // RFC 7617, section 2.
            let detail = "must have at most 255 bytes, no colon and no control characters";
            violations.push(Violation::new("/target/auth/username", detail));
        }
        if self.http_versions == HttpVersions::Http2 && self.url.url().scheme() != "https" {
            let detail = "HTTP/2 is spoken over TLS alone: the URL must begin with https";
            violations.push(Violation::new("/target/http_versions", detail));
        }
        if !self.read_body && self.assertions.iter().any(Assertion::reads_body) {
            let detail = "must be true: an assertion is about the body";
            violations.push(Violation::new("/target/read_body", detail));
        }
        for (index, assertion) in self.assertions.iter().enumerate() {
            assertion.validate(&format!("/target/assertions/{index}"), patterns, violations);
        }
    }

    fn secret_header_fault(&self, name: &str) -> Option<&'static str> {
        let same = |other: &String| other.eq_ignore_ascii_case(name);
        if let Some(detail) = header_name_fault(name) {
            Some(detail)
        } else if name.eq_ignore_ascii_case("host") {
            Some("is no secret: give it among headers")
        } else if self.auth.is_some() && name.eq_ignore_ascii_case("authorization") {
            Some("is made from auth")
        } else if self.headers.keys().any(same)
            || self.secret_headers.keys().filter(|other| same(other)).count() > 1
        {
            Some("is given twice")
        } else {
            None
        }
    }
}

/// Headers whose values are secret whatever they say.
pub const SECRET_HEADERS: [&str; 4] =
    ["authorization", "cookie", "proxy-authorization", "x-api-key"];
/// Headers that the prober itself sets (RFC 9112).
const FRAMING_HEADERS: [&str; 5] =
    ["content-length", "transfer-encoding", "connection", "upgrade", "te"];

fn at(field: &str, name: &str) -> String {
    format!("/target/{field}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn header_name_fault(name: &str) -> Option<&'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        Some("is no header name (RFC 9110)")
    } else if FRAMING_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        Some("is set by the prober")
    } else {
        None
    }
}

/// What forbids a value of a header field: more than 4,096 bytes or control characters.
#[must_use]
pub fn header_value_fault(value: &str) -> Option<&'static str> {
    let control = |byte: u8| byte < 0x20 && byte != b'\t' || byte == 0x7f;
    (value.len() > 4_096 || value.bytes().any(control))
        .then_some("must have at most 4096 bytes and no control characters")
}

/// What forbids a value of `Host` (RFC 9110, section 7.2).
fn host_fault(value: &str) -> Option<&'static str> {
    let authority = url::Url::parse(&format!("http://{value}/"));
    let is_host = authority
        .is_ok_and(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none());
    (!is_host || value.contains(['@', '/', '\\', ' ']) || value.len() > 255)
        .then_some("must be a host such as \"example.com\" or \"example.com:8080\"")
}

fn header_fault(name: &str, value: &str) -> Option<&'static str> {
    if name.eq_ignore_ascii_case("host") {
        return host_fault(value);
    }
    if SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Some("would be kept in the log in clear: give it among secret_headers, or as auth");
    }
    header_name_fault(name).or_else(|| header_value_fault(value))
}

/// Which versions of HTTP a check offers over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpVersions {
    /// HTTP/2 and HTTP/1.1: the server chooses.
    #[default]
    #[serde(rename = "any")]
    Any,
    /// HTTP/1.1 alone.
    #[serde(rename = "1.1")]
    Http11,
    /// HTTP/2 alone: a server that does not choose it fails the check.
    #[serde(rename = "2")]
    Http2,
}

impl HttpVersions {
    fn is_any(&self) -> bool {
        *self == Self::Any
    }
}

/// A request method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
}

impl HttpMethod {
    /// The method's name as it goes over the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}
