//! Names, and name servers that do not do as the others.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use serde_json::json;
use tokio::net::UdpSocket;

use super::target::{OK, answering};
use super::*;
use crate::shield::tests::{addresses, name_server};

/// A name server that answers over UDP with what `answer` makes of a question; with nothing where it makes
/// nothing of it.
async fn udp_server(answer: impl Fn(&Message) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1_024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            if let Some(answer) = answer(&question) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    address
}

/// The answer to a question, with these records of the name.
fn reply(question: &Message, code: ResponseCode, records: Vec<RData>) -> Message {
    let query = question.queries[0].clone();
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_query(query.clone());
    for data in records {
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    answer
}

fn loopback() -> RData {
    RData::A(A(Ipv4Addr::LOCALHOST))
}

/// A name server that knows an IPv4 address at once, to which there is no route, and an IPv6 address later
/// than anybody waits for it.
async fn late_server(v6: Ipv6Addr) -> SocketAddr {
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1_024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let socket = Arc::clone(&socket);
            tokio::spawn(async move {
                let data = match question.queries[0].query_type() {
                    // The broadcast address of loopback.
                    RecordType::A => RData::A(A([127, 255, 255, 255].into())),
                    _ => {
                        tokio::time::sleep(Duration::from_millis(150)).await;
                        RData::AAAA(AAAA(v6))
                    }
                };
                let answer = reply(&question, ResponseCode::NoError, vec![data]);
                let _ = socket.send_to(&answer.to_vec().unwrap(), from).await;
            });
        }
    });
    address
}

async fn asked(name_server: SocketAddr, record_type: &str, expected: &[&str]) -> CheckResult {
    let target = json!({"type": "dns", "name": "www.example", "record_type": record_type,
        "expected": expected, "resolver": name_server.to_string()});
    let target = serde_json::from_value(target).unwrap();
    checker().run(&Job { target, ..job(get("http://stand-in.invalid")) }).await.result
}

/// A check of `www.example`, whose addresses that name server knows.
async fn visited(name_server: SocketAddr, port: u16, timeout_ms: u32) -> CheckResult {
    let allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let shield = Shield::with_name_servers(allow, vec![], &[name_server]).unwrap();
    let job = Job { timeout_ms, ..job(get(&format!("http://www.example:{port}/"))) };
    Checker::new(shield).unwrap().run(&job).await.result
}

#[tokio::test]
async fn a_text_of_any_bytes_is_a_result() {
    fn answers(_: &str, record_type: RecordType) -> Result<Vec<RData>, ResponseCode> {
        match record_type {
            RecordType::TXT => Ok(vec![RData::TXT(TXT::from_bytes(vec![b"a\0b", b"\xff\""]))]),
            _ => Ok(vec![]),
        }
    }
    let server = name_server(answers).await;
    let result = asked(server, "TXT", &["zz"]).await;
    assert_failed(&result, FailureCause::DnsAnswerUnexpected);
    assert!(!serde_json::to_string(&result).unwrap().contains("\\u0000"));
    assert!(result.failure.unwrap().detail.contains(r"a\000b"));
    assert_eq!(result.findings.unwrap().answers, [r#"a\000b\255\""#]);
    for expected in [r#"a\000b\255\""#, r#""a\000b" "\255\"""#] {
        let result = asked(server, "TXT", &[expected]).await;
        assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_understand_edns_is_asked_without() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        for is_bare in [false, true] {
            let server = udp_server(move |question| {
                if question.edns.is_none() {
                    return reply(question, ResponseCode::NoError, vec![loopback()]).to_vec().ok();
                }
                let refusal = reply(question, code, vec![]).to_vec().unwrap();
                let mut refusal = if is_bare { refusal[..12].to_vec() } else { refusal };
                if is_bare {
                    refusal[4..].fill(0);
                }
                Some(refusal)
            })
            .await;
            let began = std::time::Instant::now();
            let result = asked(server, "A", &["127.0.0.1"]).await;
            assert_eq!(result.outcome, Outcome::Up, "{code} {is_bare}: {result:?}");
            assert!(began.elapsed() < Duration::from_secs(5), "it was waited for nothing");
        }
    }
    // One that understands neither way.
    let server =
        udp_server(|question| reply(question, ResponseCode::FormErr, vec![]).to_vec().ok()).await;
    assert_failed(&asked(server, "A", &[]).await, FailureCause::DnsServfail);
}

#[tokio::test]
async fn the_addresses_of_one_family_do_not_wait_for_those_of_the_other() {
    let target = answering(OK).await;
    for silent in [RecordType::AAAA, RecordType::A] {
        let server = udp_server(move |question| match question.queries[0].query_type() {
            one if one == silent => None,
            RecordType::A => reply(question, ResponseCode::NoError, vec![loopback()]).to_vec().ok(),
            _ => {
                let mapped = RData::AAAA(AAAA(Ipv4Addr::LOCALHOST.to_ipv6_mapped()));
                reply(question, ResponseCode::NoError, vec![mapped]).to_vec().ok()
            }
        })
        .await;
        let result = visited(server, target.address.port(), 4_000).await;
        assert_eq!(result.outcome, Outcome::Up, "without {silent}: {result:?}");
    }
}

#[tokio::test]
async fn addresses_that_come_late_are_judged_and_dialled_where_the_first_fail() {
    let target = answering(OK).await;
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let result = visited(late_server(mapped).await, target.address.port(), 8_000).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    let forbidden = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped();
    let result = visited(late_server(forbidden).await, target.address.port(), 8_000).await;
    assert_failed(&result, FailureCause::ShieldRefused);
}

#[tokio::test]
async fn an_alias_of_a_name_that_does_not_exist_leads_nowhere() {
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        let server = udp_server(move |question| {
            let name = question.queries[0].name().to_ascii();
            let alias = RData::CNAME(CNAME(Name::from_ascii("gone.example.").unwrap()));
            let answer = match name.as_str() {
                "www.example." => reply(question, code, vec![alias]),
                _ => reply(question, ResponseCode::NXDomain, vec![]),
            };
            answer.to_vec().ok()
        })
        .await;
        assert_failed(&visited(server, 80, 5_000).await, FailureCause::DnsNxdomain);
        for record_type in ["A", "MX", "TXT"] {
            let result = asked(server, record_type, &[]).await;
            assert_failed(&result, FailureCause::DnsNxdomain);
        }
    }
}

#[tokio::test]
async fn a_name_with_many_records_is_looked_at() {
    fn answers(_: &str, record_type: RecordType) -> Result<Vec<RData>, ResponseCode> {
        if record_type == RecordType::A { Ok(addresses(900)) } else { Ok(vec![]) }
    }
    let server = name_server(answers).await;
    assert_eq!(asked(server, "A", &[]).await.outcome, Outcome::Up);
    let target = answering(OK).await;
    let result = visited(server, target.address.port(), 8_000).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
}
