//! What is asked of the prober for whatever strangers write. Each entry panics where that does not hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::egress::EgressPolicy;
use pulsetrail_domain::monitor::{
    Assertion, DnsTarget, HttpTarget, JsonOperator, JsonPath, Retries, Target, TargetUrl,
    TextOperator, TlsTarget,
};
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region};
use pulsetrail_infra::messages::Job;
use pulsetrail_probers::check::Checker;
use pulsetrail_probers::shield::Shield;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

/// A text that somebody registers, or redirects to: where it is taken, its host is a name or is judged,
/// and no address that the standard library knows as special is accepted.
pub(super) fn url_intake(text: &str) {
    let base = TargetUrl::try_from("https://example.com/a/b".to_owned()).expect("a URL");
    let joined = base.url().join(text).map(String::from).unwrap_or_default();
    for text in [text.to_owned(), joined] {
        let Ok(url) = TargetUrl::try_from(text) else { continue };
        let written = String::from(url.clone());
        assert_eq!(TargetUrl::try_from(written).ok().filter(|again| *again != url), None);
        let verdict = EgressPolicy::default().judge_literal(&url);
        let host = url.url().host_str().expect("every target has a host");
        let bare = host.trim_matches(['[', ']']).trim_end_matches('.');
        assert_eq!(verdict.is_some(), bare.parse::<IpAddr>().is_ok(), "{host}");
        let Some(verdict) = verdict else { continue };
        if verdict.is_accepted() {
            assert!(!is_special(verdict.address.ip()), "{verdict}");
            assert_eq!(verdict.refusal(url.url()), None);
        } else {
            assert!(verdict.refusal(url.url()).is_some(), "{verdict}");
        }
    }
}

/// What the standard library can say about an address; less than the table does.
fn is_special(ip: IpAddr) -> bool {
    let v4 = |ip: Ipv4Addr| {
        ip.is_loopback()
            || ip.is_private()
            || ip.is_link_local()
            || ip.is_unspecified()
            || ip.is_multicast()
            || ip.is_broadcast()
            || ip.is_documentation()
    };
    let v6 = |ip: Ipv6Addr| {
        ip.is_loopback()
            || ip.is_unspecified()
            || ip.is_multicast()
            || ip.is_unique_local()
            || ip.is_unicast_link_local()
            || ip.to_ipv4().is_some_and(v4)
    };
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

/// A checker that may dial loopback.
pub(super) fn checker() -> Checker {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shield = Shield::new(vec!["127.0.0.0/8".parse().expect("a range")], vec![]);
    Checker::new(shield.expect("a resolver")).expect("usable cryptography")
}

/// Bytes that a target answers with: the check ends, up or down, and says why where it is down.
pub(super) async fn response(checker: &Checker, bytes: &[u8]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = TargetUrl::try_from(format!("http://{address}/")).expect("a URL");
    let serving = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        // The request is read first, so that closing does not reset what was written.
        let _ = stream.read(&mut [0; 2048]).await;
        let _ = stream.write_all(bytes).await;
    };
    // Where the bytes would send it is no matter here.
    let target = HttpTarget { follow_redirects: false, ..HttpTarget::get(url) };
    let job = job(target);
    let (message, ()) = tokio::join!(checker.run(&job), serving);
    let result = message.result;
    assert_eq!(result.outcome == Outcome::Up, result.failure.is_none(), "{result:?}");
    assert_ne!(result.outcome, Outcome::Blocked, "{result:?}");
    assert_eq!((message.refusal, result.attempts), (None, 1));
    if result.outcome == Outcome::Up {
        assert!(result.http_status.is_some_and(|status| (200..300).contains(&status)));
    }
    if let Some(failure) = result.failure {
        assert!((1..=300).contains(&failure.detail.chars().count()), "{failure:?}");
    }
}

/// How long the checks of hostile inputs may take, in ms.
const HOSTILE_TIMEOUT_MS: u32 = 300;

/// A JSON path on the first line, and the document after it: the path is refused, or the check ends in time.
pub(super) async fn json_path(checker: &Checker, bytes: &[u8]) {
    let (path, document) = first_line(bytes);
    if JsonPath::parse(&path).is_err() {
        return;
    }
    let operator = JsonOperator::Absent;
    let assertion = Assertion::JsonPath { path, operator, value: Default::default() };
    asserted(checker, assertion, "content-type: application/json\r\n", document).await;
}

/// A pattern on the first line, and the text after it.
pub(super) async fn pattern(checker: &Checker, bytes: &[u8]) {
    let (pattern, text) = first_line(bytes);
    let mut patterns = pulsetrail_domain::monitor::PatternBudget::default();
    if patterns.fault(&pattern).is_some() {
        return;
    }
    let assertion = Assertion::Body { operator: TextOperator::Matches, value: Some(pattern) };
    asserted(checker, assertion, "content-type: text/plain\r\n", text).await;
}

/// The first byte names up to three encodings, two bits each; the others are the encoded body.
pub(super) async fn encoded(checker: &Checker, bytes: &[u8]) {
    let Some((names, body)) = bytes.split_first() else { return };
    let name = |shift: u8| ["gzip", "deflate", "br", "zstd"][usize::from(names >> shift & 3)];
    let encodings = [name(0), name(2), name(4)][..usize::from(names >> 6).max(1)].join(", ");
    let operator = TextOperator::Contains;
    let assertion = Assertion::Body { operator, value: Some("x".to_owned()) };
    asserted(checker, assertion, &format!("content-encoding: {encodings}\r\n"), body).await;
}

fn first_line(bytes: &[u8]) -> (String, &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let line = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    (line, parts.next().unwrap_or_default())
}

/// Checks a target that answers with this field and body.
async fn asserted(checker: &Checker, assertion: Assertion, field: &str, body: &[u8]) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let url = TargetUrl::try_from(format!("http://{address}/")).expect("a URL");
    let head = format!("HTTP/1.1 200 OK\r\n{field}content-length: {}\r\n\r\n", body.len());
    let serving = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 2048]).await;
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(body).await;
    };
    let target = HttpTarget { assertions: vec![assertion], ..HttpTarget::get(url) };
    let (result, ()) = tokio::join!(ended(checker, Target::Http(target)), serving);
    assert_ne!(result, Outcome::Blocked);
}

/// What follows the id in an answer of the DNS.
pub(super) async fn dns_answer(checker: &Checker, bytes: &[u8]) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let resolver = socket.local_addr().expect("an address");
    let target = serde_json::json!({"name": "a.example", "record_type": "TXT",
        "resolver": resolver.to_string()});
    let target: DnsTarget = serde_json::from_value(target).expect("a target");
    let serving = async {
        let mut question = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut question).await {
            let _ = socket.send_to(&[&question[..2], bytes].concat(), from).await;
        }
    };
    tokio::select! {
        _ = ended(checker, Target::Dns(target)) => {}
        () = serving => {}
    }
}

/// What a server shows as its certificate, and then as that of its issuer.
pub(super) async fn certificate(checker: &Checker, bytes: &[u8]) {
    let provider = rustls::crypto::CryptoProvider::get_default().expect("it is installed");
    let key = rcgen::KeyPair::generate().expect("a key").serialize_der();
    let key = PrivateKeyDer::try_from(key).expect("a key");
    let key = provider.key_provider.load_private_key(key).expect("a key");
    let chain = vec![CertificateDer::from(bytes.to_vec()); 2];
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::new(shown))));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let target = serde_json::json!({"host": "127.0.0.1", "port": port});
    let target: TlsTarget = serde_json::from_value(target).expect("a target");
    let serving = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let _ = acceptor.accept(stream).await;
    };
    tokio::join!(ended(checker, Target::Tls(target)), serving);
}

/// Checks a target for a short time: it ends, up or down, and says why where it is down.
async fn ended(checker: &Checker, target: Target) -> Outcome {
    let job = Job { timeout_ms: HOSTILE_TIMEOUT_MS, ..job_of(target) };
    let result = checker.run(&job).await.result;
    assert_eq!(result.outcome == Outcome::Up, result.failure.is_none(), "{result:?}");
    if let Some(failure) = result.failure {
        assert!((1..=300).contains(&failure.detail.chars().count()), "{failure:?}");
    }
    result.outcome
}

/// A job that asks for one attempt, now.
pub(crate) fn job(target: HttpTarget) -> Job {
    job_of(Target::Http(target))
}

fn job_of(target: Target) -> Job {
    let scheduled_at = Utc::now();
    Job {
        check_id: CheckId::default(),
        monitor_id: MonitorId::default(),
        organization_id: OrganizationId::default(),
        region: Region::default(),
        scheduled_at,
        deadline: scheduled_at + Duration::from_secs(60),
        target,
        timeout_ms: 30_000,
        retries: Retries { max_attempts: 1, ..Retries::default() },
        config_version: 1,
        valid_for_ms: 130_000,
        secrets: Default::default(),
    }
}
