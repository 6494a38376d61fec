//! Every cause of a failure, produced by a target that does just that.

use std::future::pending;

use futures_util::poll;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RData, RecordType};
use pulsetrail_domain::check::TimingsUs;
use pulsetrail_domain::health::{
    Health, HealthCommand, HealthEvent, HeartbeatPolicy, ObservationPolicy, Report,
};
use pulsetrail_domain::monitor::{HttpAuth, SecretRef};
use pulsetrail_domain::{SecretId, timestamp_from_millis};
use rcgen::{CertificateParams, IsCa, date_time_ymd};
use schemars::schema_for;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::target::{OK, TestTarget, answering, read_head, redirect, serving};
use super::tls::{Authority, chain_server, incomplete, self_signed_server};
use super::*;
use crate::check::tls::MAX_CHAIN;
use crate::shield::tests::{addresses, name_server, silent};

/// Names that lead nowhere; all others lead to loopback.
fn answers(name: &str, record_type: RecordType) -> Result<Vec<RData>, ResponseCode> {
    match (name.trim_end_matches(".example."), record_type) {
        ("gone", _) => Err(ResponseCode::NXDomain),
        ("broken", _) => Err(ResponseCode::ServFail),
        ("refused", _) => Err(ResponseCode::Refused),
        ("empty", _) => Ok(vec![]),
        ("many", RecordType::A) => Ok(addresses(1_001)),
        ("private", RecordType::A) => Ok(vec![RData::A(A([10, 0, 0, 1].into()))]),
        // To the broadcast address of loopback there is no route for TCP.
        ("broadcast", RecordType::A) => Ok(vec![RData::A(A([127, 255, 255, 255].into()))]),
        (_, RecordType::A) => Ok(addresses(1)),
        _ => Ok(vec![]),
    }
}

/// What the targets stand in.
struct Scene {
    authority: Authority,
    name_server: SocketAddr,
    checker: Checker,
}

impl Scene {
    async fn set() -> Self {
        let (authority, name_server) = (Authority::new("an authority"), name_server(answers).await);
        let checker = checker(&authority, name_server);
        Self { authority, name_server, checker }
    }

    async fn check(&self, target: HttpTarget, timeout_ms: u32) -> CheckResult {
        self.checker.run(&Job { timeout_ms, ..job(target) }).await.result
    }

    /// A check of a name at a port.
    async fn at(&self, scheme: &str, name: &str, port: u16) -> CheckResult {
        self.check(get(&format!("{scheme}://{name}.example:{port}/")), 10_000).await
    }

    async fn plain(&self, server: &TestTarget) -> CheckResult {
        self.at("http", "www", server.address.port()).await
    }

    async fn tls(&self, server: &TestTarget) -> CheckResult {
        self.at("https", "www", server.address.port()).await
    }

    /// A check of a target that answers so.
    async fn answer(&self, answer: impl Into<String>) -> CheckResult {
        self.plain(&answering(answer).await).await
    }

    /// A check of a target that begins its answer so and then says nothing more.
    async fn half(&self, scheme: &str, half: &'static str) -> CheckResult {
        let server = serving(move |mut stream, _| async move {
            if !half.is_empty() {
                read_head(&mut stream).await;
                let _ = stream.write_all(half.as_bytes()).await;
            }
            pending::<()>().await;
        })
        .await;
        let url = format!("{scheme}://www.example:{}/", server.address.port());
        self.check(get(&url), 500).await
    }

    /// A check of a server with a certificate of the authority, changed so.
    async fn certified(&self, change: impl Fn(&mut CertificateParams)) -> CheckResult {
        self.tls(&self.authority.server("www.example", change).await).await
    }

    async fn other(&self, target: Value) -> CheckResult {
        let target = serde_json::from_value(target).unwrap();
        self.checker.run(&Job { target, ..job(get("http://stand-in.example")) }).await.result
    }
}

fn checker(authority: &Authority, name_server: SocketAddr) -> Checker {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    let shield = Shield::with_name_servers(allow, vec![], &[name_server]).unwrap();
    Checker::with_tls(shield, TlsClients::with_roots(authority.roots()).unwrap())
}

/// A check that fails for that cause.
async fn produced(scene: &Scene, cause: FailureCause) -> CheckResult {
    use FailureCause as Cause;
    let ok = || answering(OK);
    match cause {
        Cause::DnsNxdomain => scene.at("http", "gone", 80).await,
        Cause::DnsServfail => scene.at("http", "broken", 80).await,
        Cause::DnsRefused => scene.at("http", "refused", 80).await,
        Cause::DnsTimeout => silent_resolver(scene).await,
        Cause::DnsNoRecords => scene.at("http", "empty", 80).await,
        Cause::DnsTooManyAnswers => scene.at("http", "many", 80).await,
        Cause::DnsAnswerUnexpected => {
            scene
                .other(json!({"type": "dns", "name": "www.example", "record_type": "A",
                    "expected": ["192.0.2.1"], "resolver": scene.name_server.to_string()}))
                .await
        }
        Cause::ConnectRefused => {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = gone.local_addr().unwrap().port();
            drop(gone);
            scene.at("http", "www", port).await
        }
        Cause::ConnectReset => reset(scene).await,
        Cause::ConnectTimeout => {
            let (_silent, _queue, address) = silent().await;
            let url = format!("http://www.example:{}/", address.port());
            scene.check(get(&url), 500).await
        }
        Cause::ConnectUnreachable => scene.at("http", "broadcast", 80).await,
        Cause::TlsExpired => {
            scene
                .certified(|params| {
                    params.not_before = date_time_ymd(2_000, 1, 1);
                    params.not_after = date_time_ymd(2_001, 1, 1);
                })
                .await
        }
        Cause::TlsNotYetValid => {
            scene.certified(|params| params.not_before = date_time_ymd(3_000, 1, 1)).await
        }
        Cause::TlsWrongHost => {
            scene.tls(&scene.authority.server("other.example", |_| {}).await).await
        }
        Cause::TlsSelfSigned => {
            scene.tls(&self_signed_server("www.example", IsCa::NoCa).await).await
        }
        Cause::TlsUnknownIssuer => {
            scene.tls(&Authority::new("a stranger").server("www.example", |_| {}).await).await
        }
        Cause::TlsIncompleteChain => {
            scene.tls(&Authority::new("between").server("www.example", incomplete).await).await
        }
        Cause::TlsChainTooLong => {
            scene.tls(&chain_server(&scene.authority, "www.example", MAX_CHAIN + 1).await).await
        }
        // An alert: fatal, protocol_version (RFC 8446, section 6), as old servers send it.
        Cause::TlsProtocol => scene.tls(&saying(b"\x15\x03\x01\x00\x02\x02\x46").await).await,
        Cause::TlsHandshake => scene.tls(&saying(b"SSH-2.0-OpenSSH_9.6\r\n").await).await,
        Cause::TlsClientCertificate => {
            scene.tls(&scene.authority.demanding_server("www.example").await).await
        }
        Cause::TlsTimeout => scene.half("https", "").await,
        Cause::HttpTimeoutFirstByte => scene.half("http", "").await,
        Cause::HttpTimeoutBody => {
            scene.half("http", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await
        }
        Cause::HttpClosedEarly => {
            scene.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await
        }
        Cause::HttpInvalid => scene.answer("220 ready for mail\r\n\r\n").await,
        Cause::HttpTooLarge => {
            scene.answer(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(200_000))).await
        }
        Cause::HttpRedirectLoop => scene.answer(redirect(302, "/")).await,
        Cause::HttpTooManyRedirects => {
            let server = answering(redirect(302, "/next")).await;
            let url = format!("http://www.example:{}/", server.address.port());
            let target = HttpTarget { max_redirects: 0, ..get(&url) };
            scene.check(target, 10_000).await
        }
        Cause::HttpRedirectInvalid => scene.answer(redirect(302, "ftp://www.example/")).await,
        Cause::HttpDowngrade => {
            let to = redirect(302, "http://www.example/");
            scene.tls(&scene.authority.server_answering("www.example", to).await).await
        }
        Cause::HttpStatusUnexpected => {
            scene.answer("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await
        }
        Cause::AssertionFailed => {
            let server = ok().await;
            let mut target = get(&format!("http://www.example:{}/", server.address.port()));
            let assertion = json!([{"type": "body", "operator": "equals", "value": "no"}]);
            target.assertions = serde_json::from_value(assertion).unwrap();
            scene.check(target, 10_000).await
        }
        Cause::AssertionTooExpensive => {
            let body = format!("[{}1]", "0,".repeat(20_000));
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let server = answering(answer).await;
            let mut target = get(&format!("http://www.example:{}/", server.address.port()));
            let path = "$[?count($[?count($[*])>0])>0]";
            let assertion = json!([{"type": "json_path", "path": path, "operator": "absent"}]);
            target.assertions = serde_json::from_value(assertion).unwrap();
            scene.check(target, 10_000).await
        }
        Cause::CheckUnsupported => {
            scene.other(json!({"type": "heartbeat", "grace_seconds": 30})).await
        }
        Cause::ShieldRefused => scene.at("http", "private", 80).await,
        Cause::HeartbeatMissed => missed_heartbeat(),
        Cause::HeartbeatFailed => failed_heartbeat(),
        Cause::SecretUnavailable => {
            let token = SecretRef { secret: SecretId::default() };
            let mut target = get(&url("http", ok().await.address, "/"));
            target.auth = Some(HttpAuth::Bearer { token });
            scene.check(target, 10_000).await
        }
    }
}

async fn silent_resolver(scene: &Scene) -> CheckResult {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let checker = checker(&scene.authority, silent.local_addr().unwrap());
    let job = Job { timeout_ms: 300, ..job(get("http://www.example/")) };
    checker.run(&job).await.result
}

/// Says that whatever it is told.
async fn saying(bytes: &'static [u8]) -> TestTarget {
    serving(move |mut stream, _| async move {
        let _ = stream.readable().await;
        let _ = stream.write_all(bytes).await;
        pending::<()>().await;
    })
    .await
}

/// A connection that is reset before whoever makes it looks again. Nothing else runs in between: the
/// check and the target take turns on one thread.
async fn reset(scene: &Scene) -> CheckResult {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let job = job(get(&url("http", listener.local_addr().unwrap(), "/")));
    let mut check = Box::pin(scene.checker.run(&job));
    assert!(poll!(&mut check).is_pending());
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap().set_zero_linger().unwrap();
    check.await.result
}

/// What becomes of a heartbeat of which nothing was heard.
fn missed_heartbeat() -> CheckResult {
    let policy = ObservationPolicy {
        regions: vec![Region::default()],
        heartbeat: Some(HeartbeatPolicy { interval_ms: 60_000, grace_ms: 30_000 }),
        monitor_version: 1,
        confirmations: 1,
        quorum: 1,
        paused: false,
        archived: false,
    };
    let (monitor_id, at) = (MonitorId::default(), timestamp_from_millis(0));
    let noted = HealthCommand::NoteSilence { monitor_id, at, policy };
    let events = Health::default().decide(&noted).unwrap();
    let HealthEvent::CheckCompleted(result) = &events[0] else { panic!("{events:?}") };
    *result.clone()
}

/// What becomes of a heartbeat that reports a failure.
fn failed_heartbeat() -> CheckResult {
    let heartbeat = HeartbeatPolicy { interval_ms: 60_000, grace_ms: 30_000 };
    let at = timestamp_from_millis(0);
    let report = Report { slot: at, at, failure: Some("disk full".to_owned()) };
    report.result(MonitorId::default(), Region::default(), heartbeat, 1)
}

/// The phases that a check with this failure went through, and no others, were measured.
fn phases_are_measured(result: &CheckResult, cause: FailureCause) -> bool {
    let TimingsUs { dns, connect, tls, first_byte, total } = result.timings_us;
    let code = serde_json::to_value(cause).unwrap();
    let reached = [dns > 0, connect > 0, tls > 0, first_byte > 0];
    let sum = dns + connect + tls + first_byte;
    total >= sum
        && match code.as_str().unwrap().split('_').next().unwrap() {
            "dns" | "shield" => reached == [true, false, false, false],
            // To be reset the target is named by its address.
            "connect" => reached == [cause != FailureCause::ConnectReset, true, false, false],
            "tls" => reached == [true, true, true, false],
            "http" | "assertion" => {
                reached == [true, true, cause == FailureCause::HttpDowngrade, true]
            }
            _ => true,
        }
}

/// Every cause, as the schema lists them.
fn causes() -> Vec<FailureCause> {
    let schema = schema_for!(FailureCause).to_value();
    let variants = schema["oneOf"].as_array().unwrap();
    variants.iter().map(|one| serde_json::from_value(one["const"].clone()).unwrap()).collect()
}

#[tokio::test]
async fn every_cause_is_produced_and_named_and_keeps_the_times_before_it() {
    let scene = Scene::set().await;
    for cause in causes() {
        let result = produced(&scene, cause).await;
        if matches!(cause, FailureCause::HeartbeatMissed | FailureCause::HeartbeatFailed) {
            assert_eq!(result.failure.map(|failure| failure.cause), Some(cause));
            continue;
        }
        assert_failed(&result, cause);
        assert!(phases_are_measured(&result, cause), "{cause:?}: {:?}", result.timings_us);
        let mut silent = result.clone();
        silent.timings_us = TimingsUs::default();
        // Positive control.
        assert!(
            matches!(cause, FailureCause::CheckUnsupported | FailureCause::SecretUnavailable)
                || !phases_are_measured(&silent, cause),
            "{cause:?} without its times"
        );
    }
    // Positive control: none of these is what a good target leads to.
    let good = scene.plain(&answering(OK).await).await;
    assert_eq!((good.outcome, good.failure), (Outcome::Up, None));
}
