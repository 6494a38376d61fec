//! The same beside dig: every question is asked of a name server that answers in its own way, by the prober
//! and by dig. A target is up where there is an answer of the type that was asked for.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Stdio;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::process::Command;

use super::super::*;
use super::{compare, known};

/// What a name server does with a question.
type Reply = fn(&Message) -> Option<Vec<u8>>;

fn empty(question: &Message) -> Message {
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(question.queries[0].clone());
    answer
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn records(question: &Message) -> Option<Vec<u8>> {
    let asked = question.queries[0].clone();
    let data = match asked.query_type() {
        RecordType::A => RData::A(A([93, 184, 216, 34].into())),
        RecordType::AAAA => RData::AAAA(AAAA("2606:2800::1".parse().unwrap())),
        RecordType::CNAME => RData::CNAME(CNAME(name("other.example."))),
        RecordType::MX => RData::MX(MX::new(10, name("mail.example."))),
        RecordType::NS => RData::NS(NS(name("ns.example."))),
        RecordType::PTR => RData::PTR(PTR(name("host.example."))),
        RecordType::SOA => {
            RData::SOA(SOA::new(name("ns.example."), name("ada.example."), 1, 2, 3, 4, 5))
        }
        RecordType::SRV => RData::SRV(SRV::new(1, 2, 443, name("host.example."))),
        RecordType::TXT => RData::TXT(TXT::from_bytes(vec![b"a\0b", b"\xff\"\\"])),
        _ => return empty(question).to_vec().ok(),
    };
    let mut answer = empty(question);
    answer.add_answer(Record::from_rdata(asked.name().clone(), 60, data));
    answer.to_vec().ok()
}

fn with_code(question: &Message, code: ResponseCode) -> Option<Vec<u8>> {
    let mut answer = empty(question);
    answer.metadata.response_code = code;
    answer.to_vec().ok()
}

fn bare(question: &Message, code: u8) -> Option<Vec<u8>> {
    let id = question.id.to_be_bytes();
    Some([&id[..], &[0x81, 0x80 | code], &[0; 8]].concat())
}

/// With EDNS refused in that way, and an answer without.
fn without_edns(question: &Message, refuse: Reply) -> Option<Vec<u8>> {
    if question.edns.is_some() { refuse(question) } else { records(question) }
}

fn alias(question: &Message, behind: Option<RData>, code: ResponseCode) -> Option<Vec<u8>> {
    let asked = question.queries[0].name().clone();
    if asked != name("www.example.") {
        return with_code(question, code);
    }
    let other = name("other.example.");
    let mut answer = empty(question);
    answer.metadata.response_code = code;
    answer.add_answer(Record::from_rdata(asked, 60, RData::CNAME(CNAME(other.clone()))));
    if let Some(data) = behind {
        answer.add_answer(Record::from_rdata(other.clone(), 60, data));
    }
    answer.to_vec().ok()
}

const SERVERS: &[(&str, Reply)] = &[
    ("records", records),
    ("no records", |question| empty(question).to_vec().ok()),
    ("NXDOMAIN", |question| with_code(question, ResponseCode::NXDomain)),
    ("SERVFAIL", |question| with_code(question, ResponseCode::ServFail)),
    ("REFUSED", |question| with_code(question, ResponseCode::Refused)),
    ("FORMERR", |question| with_code(question, ResponseCode::FormErr)),
    ("NOTIMP", |question| with_code(question, ResponseCode::NotImp)),
    ("NOTAUTH", |question| with_code(question, ResponseCode::NotAuth)),
    ("FORMERR to EDNS", |question| {
        without_edns(question, |question| with_code(question, ResponseCode::FormErr))
    }),
    ("NOTIMP to EDNS", |question| {
        without_edns(question, |question| with_code(question, ResponseCode::NotImp))
    }),
    ("a bare FORMERR to EDNS", |question| without_edns(question, |question| bare(question, 1))),
    ("a bare NOTIMP to EDNS", |question| without_edns(question, |question| bare(question, 4))),
    ("a bare FORMERR", |question| bare(question, 1)),
    ("an alias alone", |question| alias(question, None, ResponseCode::NoError)),
    ("an alias of nothing", |question| alias(question, None, ResponseCode::NXDomain)),
    ("an alias with its address", |question| {
        alias(question, Some(RData::A(A([93, 184, 216, 34].into()))), ResponseCode::NoError)
    }),
    ("garbage", |_| Some(b"no message at all".to_vec())),
    ("half a message", |question| {
        records(question).map(|mut all| {
            all.truncate(all.len() - 3);
            all
        })
    }),
];

const TYPES: [&str; 9] = ["A", "AAAA", "CNAME", "MX", "NS", "SOA", "SRV", "TXT", "CAA"];

async fn server(reply: Reply) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1_024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            if let Some(answer) = reply(&question) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

async fn of_the_prober(server: SocketAddr, record_type: &str) -> (bool, String) {
    let target = serde_json::json!({"type": "dns", "name": "www.example",
        "record_type": record_type, "resolver": server.to_string()});
    let target = serde_json::from_value(target).unwrap();
    let job = Job { target, timeout_ms: 1_500, ..job(get("http://stand-in.invalid")) };
    let result = checker().run(&job).await.result;
    (
        result.outcome == Outcome::Up,
        result.failure.map_or_else(String::new, |failure| failure.detail),
    )
}

/// What dig finds. Where the server does not understand EDNS it is asked again without, as dig itself says.
async fn of_dig(server: SocketAddr, record_type: &str) -> (bool, String) {
    let first = dig(server, record_type, "+edns").await;
    if first.contains("retry with '+noedns'") {
        return found_by_dig(dig(server, record_type, "+noedns").await, record_type);
    }
    found_by_dig(first, record_type)
}

async fn dig(server: SocketAddr, record_type: &str, edns: &str) -> String {
    let mut dig = Command::new("dig");
    dig.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    dig.args([edns, "+time=1", "+tries=1", "+noall", "+answer", "+comments", "-t", record_type]);
    dig.arg("www.example.").stdin(Stdio::null()).kill_on_drop(true);
    let ended = dig.output().await.expect("dig is installed");
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

fn found_by_dig(text: String, record_type: &str) -> (bool, String) {
    let has_answer = text
        .lines()
        .any(|line| !line.starts_with(';') && line.split_whitespace().nth(3) == Some(record_type));
    (has_answer && text.contains("status: NOERROR"), text)
}

#[tokio::test]
async fn the_prober_and_dig_come_to_the_same_verdict() {
    let (mut found, mut all, mut up) = (BTreeMap::new(), 0, 0);
    for (kind, reply) in SERVERS {
        let address = server(*reply).await;
        for record_type in TYPES {
            let (ours, theirs) =
                tokio::join!(of_the_prober(address, record_type), of_dig(address, record_type));
            all += 1;
            up += usize::from(theirs.0);
            if ours.0 != theirs.0 {
                let told = format!("prober {ours:?}, dig {theirs:?}");
                found.insert(format!("{record_type} of {kind}"), told);
            }
        }
    }
    // Positive control.
    assert!(up >= 8 && all - up >= 20, "{up} of {all} are up");
    compare(&found, known::OF_QUESTIONS);
}
