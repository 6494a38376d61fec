//! The part of a body that says what is checked.

use pulsetrail_domain::monitor::{
    Assertion, DnsTarget, HeartbeatTarget, HttpTarget, ResolverAddress, Target, TargetHost,
    TargetUrl, TcpTarget, TlsTarget, Violation,
};
use serde_json::Value;

use super::body::stand_in_url;
use super::fields::Fields;
use super::secrets::Secrets;

/// The default of `port` in a TLS target, and of the fields beside it.
const TLS_PORT: u16 = 443;
const WARN_DAYS: u16 = 14;

/// Reads `target`; none where what cannot be left out of it is missing or cannot be read.
pub(super) fn read(
    described: Value,
    secrets: &mut Secrets,
    violations: &mut Vec<Violation>,
) -> Option<Target> {
    let mut fields = Fields::of(described, "/target", violations)?;
    let kind = fields.take::<String>("type").unwrap_or_default();
    if !Target::KINDS.contains(&kind.as_str()) {
        fields.refuse("type", &format!("must be one of {}", Target::KINDS.join(", ")));
        return None;
    }
    let target = match kind.as_str() {
        "tcp" => tcp(&mut fields).map(Target::Tcp),
        "dns" => dns(&mut fields).map(Target::Dns),
        "tls" => tls(&mut fields, secrets).map(Target::Tls),
        "heartbeat" => Some(Target::Heartbeat(heartbeat(&mut fields))),
        _ => http(&mut fields, secrets).map(Target::Http),
    };
    fields.finish();
    target
}

fn http(fields: &mut Fields<'_>, secrets: &mut Secrets) -> Option<HttpTarget> {
    let url = fields.need::<TargetUrl>("url");
    // Read also where there is no URL, for their mistakes.
    let method = fields.take("method");
    let headers = fields.take("headers");
    let body = fields.take("body");
    let follow_redirects = fields.take("follow_redirects");
    let max_redirects = fields.take("max_redirects");
    let verify_tls = fields.take("verify_tls");
    let http_versions = fields.take("http_versions");
    let allow_redirects_to_http = fields.take("allow_redirects_to_http");
    let read_body = fields.take("read_body");
    let expected_status = fields.take("expected_status");
    let assertions = fields.take::<Vec<Assertion>>("assertions");
    let auth = fields.take_raw("auth");
    let auth = auth.and_then(|auth| secrets.auth(auth, fields.violations()));
    let secret_headers = fields.take_raw("secret_headers");
    let secret_headers = secret_headers.map(|all| secrets.headers(all, fields.violations()));
    let client_certificate = fields.take_raw("client_certificate");
    let client_certificate =
        client_certificate.and_then(|one| secrets.client_certificate(one, fields.violations()));
    let default = HttpTarget::get(url.or_else(stand_in_url)?);
    Some(HttpTarget {
        method: method.unwrap_or(default.method),
        headers: headers.unwrap_or(default.headers),
        body,
        follow_redirects: follow_redirects.unwrap_or(default.follow_redirects),
        max_redirects: max_redirects.unwrap_or(default.max_redirects),
        verify_tls: verify_tls.unwrap_or(default.verify_tls),
        http_versions: http_versions.unwrap_or(default.http_versions),
        allow_redirects_to_http: allow_redirects_to_http.unwrap_or(default.allow_redirects_to_http),
        read_body: read_body.unwrap_or(default.read_body),
        expected_status: expected_status.unwrap_or(default.expected_status),
        url: default.url,
        assertions: assertions.unwrap_or_default(),
        auth,
        secret_headers: secret_headers.unwrap_or_default(),
        client_certificate: client_certificate.map(Box::new),
    })
}

fn tcp(fields: &mut Fields<'_>) -> Option<TcpTarget> {
    let (host, port) = (fields.need::<TargetHost>("host"), fields.need("port"));
    Some(TcpTarget { host: host?, port: port? })
}

fn tls(fields: &mut Fields<'_>, secrets: &mut Secrets) -> Option<TlsTarget> {
    let host = fields.need::<TargetHost>("host");
    let port = fields.take("port").unwrap_or(TLS_PORT);
    let warn_days = fields.take("warn_days").unwrap_or(WARN_DAYS);
    let client_certificate = fields.take_raw("client_certificate");
    let client_certificate =
        client_certificate.and_then(|one| secrets.client_certificate(one, fields.violations()));
    Some(TlsTarget {
        host: host?,
        port,
        warn_days,
        client_certificate: client_certificate.map(Box::new),
    })
}

fn dns(fields: &mut Fields<'_>) -> Option<DnsTarget> {
    let name = fields.need::<TargetHost>("name");
    let record_type = fields.need("record_type");
    let expected = fields.take("expected").unwrap_or_default();
    let resolver = fields.take::<ResolverAddress>("resolver");
    Some(DnsTarget { name: name?, record_type: record_type?, expected, resolver })
}

fn heartbeat(fields: &mut Fields<'_>) -> HeartbeatTarget {
    let default = HeartbeatTarget::default();
    let grace_seconds = fields.take("grace_seconds").unwrap_or(default.grace_seconds);
    HeartbeatTarget { grace_seconds }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(target: Value) -> Vec<String> {
        let mut violations = Vec::new();
        read(target, &mut Secrets::default(), &mut violations);
        violations.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn what_a_kind_needs_is_asked_for() {
        let of = |kind: &str| refused(json!({"type": kind, "surprise": 1}));
        assert_eq!(of("http"), ["/target/url", "/target/surprise"]);
        assert_eq!(of("tcp"), ["/target/host", "/target/port", "/target/surprise"]);
        assert_eq!(of("tls"), ["/target/host", "/target/surprise"]);
        let dns = ["/target/name", "/target/record_type", "/target/surprise"];
        assert_eq!(of("dns"), dns);
        assert_eq!(of("heartbeat"), ["/target/surprise"]);
        assert_eq!(of("gopher"), ["/target/type"]);
    }

    #[test]
    fn a_host_or_resolver_that_cannot_be_read_is_named_with_its_place() {
        let tcp = json!({"type": "tcp", "host": "a b", "port": 70_000});
        assert_eq!(refused(tcp), ["/target/host", "/target/port"]);
        let dns = json!({"type": "dns", "name": "a.example", "record_type": "MD", "resolver": "b"});
        assert_eq!(refused(dns), ["/target/record_type", "/target/resolver"]);
    }
}
