//! Checks that are no HTTP request.

use std::net::Ipv4Addr;

use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{A, MX, TXT};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::shield::tests::name_server;

async fn check_target(target: Value, timeout_ms: u32) -> CheckResult {
    let target: Target = serde_json::from_value(target).unwrap();
    let job = Job { target, timeout_ms, ..job(get("http://stand-in.invalid")) };
    checker().run(&job).await.result
}

fn answers(name: &str, record_type: RecordType) -> Result<Vec<RData>, ResponseCode> {
    let a = |text: &str| RData::A(A(text.parse().unwrap()));
    match (name, record_type) {
        ("good.example.", RecordType::A) => Ok(vec![a("93.184.216.34"), a("93.184.216.35")]),
        ("good.example.", RecordType::MX) => {
            let mail = Name::from_ascii("mail.example.").unwrap();
            Ok(vec![RData::MX(MX::new(10, mail))])
        }
        ("good.example.", RecordType::TXT) => {
            Ok(vec![RData::TXT(TXT::new(vec!["v=spf1 -all".to_owned()]))])
        }
        ("mixed.example.", RecordType::A) => Ok(vec![a("93.184.216.34"), a("10.1.2.3")]),
        ("gone.example.", _) => Err(ResponseCode::NXDomain),
        ("broken.example.", _) => Err(ResponseCode::ServFail),
        ("refused.example.", _) => Err(ResponseCode::Refused),
        _ => Ok(vec![]),
    }
}

async fn asked(name: &str, record_type: &str, expected: &[&str]) -> CheckResult {
    let server = name_server(answers).await.to_string();
    let target = json!({"type": "dns", "name": name, "record_type": record_type,
        "expected": expected, "resolver": server});
    check_target(target, 10_000).await
}

#[tokio::test]
async fn a_port_that_listens_is_up_and_one_that_does_not_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = json!({"type": "tcp", "host": "127.0.0.1", "port": port});
    let up = check_target(target.clone(), 10_000).await;
    assert_eq!((up.outcome, up.findings), (Outcome::Up, None));
    assert!(up.timings_us.connect > 0);
    drop(listener);
    assert_failed(&check_target(target, 10_000).await, FailureCause::ConnectRefused);
}

#[tokio::test]
async fn no_kind_dials_an_address_that_the_shield_refuses() {
    for target in [
        json!({"type": "tcp", "host": "10.0.0.1", "port": 22}),
        json!({"type": "tls", "host": "[::ffff:169.254.169.254]"}),
        json!({"type": "dns", "name": "a.example", "record_type": "A", "resolver": "10.0.0.53"}),
    ] {
        let result = check_target(target, 10_000).await;
        assert_failed(&result, FailureCause::ShieldRefused);
    }
}

#[tokio::test]
async fn a_resolver_that_the_shield_refuses_hears_nothing() {
    let canary = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let asking = |name: &str| {
        let target = json!({"type": "dns", "name": name, "record_type": "A",
            "resolver": canary.local_addr().unwrap().to_string()});
        let target: Target = serde_json::from_value(target).unwrap();
        Job { target, timeout_ms: 200, ..job(get("http://stand-in.invalid")) }
    };
    let strict = Checker::new(Shield::new(Vec::new(), Vec::new()).unwrap()).unwrap();
    let message = strict.run(&asking("forbidden.example")).await;
    assert_failed(&message.result, FailureCause::ShieldRefused);
    assert_eq!(message.refusal.unwrap().range, "127.0.0.0/8");
    // Positive control: where its address is allowed it is asked, and that is the first it hears.
    assert_failed(
        &checker().run(&asking("allowed.example")).await.result,
        FailureCause::DnsTimeout,
    );
    let mut packet = [0; 512];
    let length = canary.recv(&mut packet).await.unwrap();
    assert!(packet[..length].windows(7).any(|bytes| bytes == b"allowed"), "{packet:?}");
}

#[tokio::test]
async fn a_question_is_answered_with_what_the_name_has() {
    let found = |result: CheckResult| result.findings.unwrap().answers;
    let result = asked("good.example", "A", &["93.184.216.35"]).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    assert!(result.timings_us.dns > 0);
    assert_eq!(found(result), ["93.184.216.34", "93.184.216.35"]);
    let result = asked("good.example", "MX", &["10 MAIL.example"]).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    assert_eq!(found(result), ["10 mail.example."]);
    let result = asked("good.example", "TXT", &["v=spf1 -all"]).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    let result = asked("good.example", "A", &["192.0.2.1"]).await;
    assert_failed(&result, FailureCause::DnsAnswerUnexpected);
    assert_eq!(found(result).len(), 2);
}

#[tokio::test]
async fn each_way_not_to_be_answered_is_told_apart() {
    for (name, cause) in [
        ("gone.example", FailureCause::DnsNxdomain),
        ("broken.example", FailureCause::DnsServfail),
        ("refused.example", FailureCause::DnsRefused),
        ("empty.example", FailureCause::DnsNoRecords),
    ] {
        let result = asked(name, "A", &[]).await;
        assert_failed(&result, cause);
        assert!(result.timings_us.dns > 0);
    }
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = json!({"type": "dns", "name": "a.example", "record_type": "A",
        "resolver": silent.local_addr().unwrap().to_string()});
    assert_failed(&check_target(target, 150).await, FailureCause::DnsTimeout);
}

#[tokio::test]
async fn a_refused_answer_shows_no_answer() {
    let result = asked("mixed.example", "A", &[]).await;
    assert_failed(&result, FailureCause::ShieldRefused);
    assert_eq!(result.findings, None);
}

#[tokio::test]
async fn a_check_that_tried_again_lists_each_attempt() {
    let retries = Retries { max_attempts: 3, initial_backoff_ms: 1, ..Retries::default() };
    let server = target::answering_by(|_, number| match number {
        0 => "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n".to_owned(),
        1 => String::new(),
        _ => target::OK.to_owned(),
    })
    .await;
    let job = Job { retries, ..job(get(&url("http", server.address, "/"))) };
    let result = checker().run(&job).await.result;
    assert_eq!((result.outcome, result.attempts), (Outcome::Up, 3));
    let attempts = result.findings.unwrap().attempts;
    let causes: Vec<_> = attempts.iter().map(|one| one.cause).collect();
    let expected =
        [Some(FailureCause::HttpStatusUnexpected), Some(FailureCause::HttpClosedEarly), None];
    assert_eq!(causes, expected);
    assert_eq!(attempts[0].http_status, Some(500));
}

#[tokio::test]
async fn an_assertion_is_judged_by_the_final_answer() {
    let assertions = json!([
        {"type": "header", "name": "x-kind", "operator": "equals", "value": "json"},
        {"type": "json_path", "path": "$.ok", "operator": "equals", "value": true},
    ]);
    let check_of = async |body: &'static str| {
        let server = target::answering_by(move |head, _| {
            if head.starts_with("GET /moved") {
                return target::redirect(302, "/");
            }
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nx-kind: json\r\ncontent-length: {length}\r\n\r\n{body}")
        })
        .await;
        let mut target = get(&url("http", server.address, "/moved"));
        target.assertions = serde_json::from_value(assertions.clone()).unwrap();
        check(target).await.result
    };
    let result = check_of(r#"{"ok":true}"#).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    let result = check_of(r#"{"ok":false}"#).await;
    assert_failed(&result, FailureCause::AssertionFailed);
    let failed = result.findings.unwrap().assertion.unwrap();
    assert_eq!((failed.index, failed.got.as_deref()), (1, Some("false")));
    assert!(result.timings_us.first_byte > 0 && result.http_status == Some(200));
}

#[tokio::test]
async fn a_body_that_is_looked_at_must_be_whole() {
    let long = "a".repeat(1024 * 1024 + 1);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let server = target::answering(answer).await;
    let mut target = get(&url("http", server.address, "/"));
    assert_eq!(check(target.clone()).await.result.outcome, Outcome::Up);
    let body = json!([{"type": "body", "operator": "not_contains", "value": "b"}]);
    target.assertions = serde_json::from_value(body).unwrap();
    assert_failed(&check(target).await.result, FailureCause::HttpTooLarge);
}
