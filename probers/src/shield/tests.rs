use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

use super::resolve::MAX_RECORDS;

use super::*;

/// What a name server of the test answers to a question.
pub(crate) type Answers = fn(&str, RecordType) -> Result<Vec<RData>, ResponseCode>;

/// The most that is sent in a packet, in bytes (RFC 1035, section 4.2.1): who wants more asks over TCP.
const PACKET: usize = 512;

/// Serves DNS on loopback as long as the runtime lives.
pub(crate) async fn name_server(answers: Answers) -> SocketAddr {
    let (socket, listener) = loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        // Another program may have the port over TCP.
        if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
            break (socket, listener);
        }
    };
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; PACKET];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let mut answer = answer_to(&buffer[..length], answers);
            if answer.to_vec().unwrap().len() > PACKET {
                answer.answers.clear();
                answer.metadata.truncation = true;
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Ok(length) = stream.read_u16().await {
                let mut question = vec![0; length.into()];
                stream.read_exact(&mut question).await.unwrap();
                let answer = answer_to(&question, answers).to_vec().unwrap();
                let framed = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
                stream.write_all(&framed).await.unwrap();
            }
        }
    });
    address
}

fn answer_to(question: &[u8], answers: Answers) -> Message {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let mut answer = Message::new(question.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let name = query.name().to_ascii().to_lowercase();
    match answers(&name, query.query_type()) {
        Ok(data) => {
            for data in data {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
            }
        }
        Err(code) => answer.metadata.response_code = code,
    }
    answer
}

/// A listener that accepts nothing and whose queue is full: who connects hears nothing.
pub(crate) async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting, address)
}

/// So many addresses of loopback.
pub(crate) fn addresses(count: usize) -> Vec<RData> {
    (1..=count)
        .map(|number| RData::A(A(Ipv4Addr::new(127, 0, (number >> 8) as u8, number as u8))))
        .collect()
}

fn answers(name: &str, record_type: RecordType) -> Result<Vec<RData>, ResponseCode> {
    let a = |text: &str| RData::A(A(text.parse().unwrap()));
    let aaaa = |text: &str| RData::AAAA(AAAA(text.parse().unwrap()));
    match (name, record_type) {
        ("good.example.", RecordType::A) => Ok(vec![a("127.0.0.1")]),
        ("mixed.example.", RecordType::A) => Ok(vec![a("127.0.0.1"), a("10.1.2.3")]),
        ("mixed6.example.", RecordType::A) => Ok(vec![a("127.0.0.1")]),
        ("mixed6.example.", RecordType::AAAA) => Ok(vec![aaaa("fd00:ec2::254")]),
        ("mapped.example.", RecordType::AAAA) => Ok(vec![aaaa("::ffff:169.254.169.254")]),
        ("alias.example.", RecordType::A) => {
            Ok(vec![RData::CNAME(CNAME(Name::from_ascii("good.example.").unwrap()))])
        }
        ("half.example.", RecordType::A) => Ok(vec![a("127.0.0.1")]),
        ("half.example.", RecordType::AAAA) => Err(ResponseCode::ServFail),
        ("many.example.", RecordType::A) => Ok(addresses(MAX_RECORDS)),
        ("too-many.example.", RecordType::A) => Ok(addresses(MAX_RECORDS + 1)),
        ("half-too-many.example.", RecordType::A) => Ok(addresses(MAX_RECORDS + 1)),
        ("half-too-many.example.", RecordType::AAAA) => Ok(vec![aaaa("::ffff:127.0.0.1")]),
        ("gone.example.", _) => Err(ResponseCode::NXDomain),
        ("broken.example.", _) => Err(ResponseCode::ServFail),
        ("refused.example.", _) => Err(ResponseCode::Refused),
        _ => Ok(vec![]),
    }
}

async fn shield() -> Shield {
    let server = name_server(answers).await;
    Shield::with_name_servers(vec!["127.0.0.0/8".parse().unwrap()], vec![], &[server]).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn reason(shield: &Shield, name: &str) -> DialFailureReason {
    let failure = shield.connect(Host::Domain(name), 80, soon()).await.unwrap_err();
    assert_eq!(failure.connect, Duration::ZERO, "nothing was dialled");
    failure.reason
}

#[tokio::test]
async fn a_name_is_dialled_at_the_address_that_was_judged() {
    let (_listener, port) = listener().await;
    let shield = shield().await;
    for name in ["good.example", "good.example.", "GOOD.example", "half.example", "alias.example"] {
        let dialled = shield.connect(Host::Domain(name), port, soon()).await;
        let dialled = dialled.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert_eq!(dialled.address, SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(dialled.stream.peer_addr().unwrap(), dialled.address);
        assert!(dialled.stream.nodelay().unwrap());
        assert!(dialled.dns > Duration::ZERO && dialled.connect > Duration::ZERO);
    }
}

#[tokio::test]
async fn one_refused_address_refuses_the_name() {
    let shield = shield().await;
    let cases = [
        ("mixed.example", "10.0.0.0/8"),
        ("mixed6.example", "fd00:ec2::254/128"),
        ("mapped.example", "169.254.169.254/32"),
    ];
    for (name, range) in cases {
        match reason(&shield, name).await {
            DialFailureReason::Refused(verdict) => {
                assert_eq!(verdict.refused_range().as_deref(), Some(range), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn localhost_is_loopback_and_so_refused_unless_all_of_it_is_allowed() {
    let shield = shield().await;
    assert!(matches!(reason(&shield, "localhost").await, DialFailureReason::Refused(_)));
    assert!(matches!(reason(&shield, "a.localhost").await, DialFailureReason::Refused(_)));
    let (_listener, port) = listener().await;
    let allow = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()).into();
    let server = name_server(answers).await;
    let open = Shield::with_name_servers(allow, vec![], &[server]).unwrap();
    assert!(open.connect(Host::Domain("localhost"), port, soon()).await.is_ok());
}

#[tokio::test]
async fn why_a_name_has_no_address_is_told_apart() {
    let shield = shield().await;
    let long = format!("{}.example", "a".repeat(64));
    let cases = [
        ("gone.example", DnsError::NxDomain),
        ("broken.example", DnsError::ServFail),
        ("refused.example", DnsError::Refused),
        ("empty.example", DnsError::NoRecords),
        ("too-many.example", DnsError::TooMany),
        ("half-too-many.example", DnsError::TooMany),
        (&long, DnsError::InvalidName),
    ];
    for (name, expected) in cases {
        match reason(&shield, name).await {
            DialFailureReason::Dns(error) => assert_eq!(error, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// The positive control of the limit.
#[tokio::test]
async fn a_name_with_as_many_addresses_as_are_looked_at_is_dialled() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shield = shield().await;
    let dialled = shield.connect(Host::Domain("many.example"), port, soon()).await.unwrap();
    assert!(dialled.address.ip().is_loopback());
}

#[tokio::test]
async fn a_resolver_that_stays_silent_is_waited_for_until_the_deadline() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = silent.local_addr().unwrap();
    let shield = Shield::with_name_servers(vec![], vec![], &[server]).unwrap();
    let deadline = Instant::now() + Duration::from_millis(80);
    let failure = shield.connect(Host::Domain("example.com"), 80, deadline).await.unwrap_err();
    assert!(matches!(failure.reason, DialFailureReason::Dns(DnsError::Timeout)));
    assert!(failure.dns >= Duration::from_millis(75), "{:?}", failure.dns);
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let (listener, port) = listener().await;
    drop(listener);
    let shield = shield().await;
    let failure = shield.connect(Host::Ipv4(Ipv4Addr::LOCALHOST), port, soon()).await.unwrap_err();
    assert!(matches!(failure.reason, DialFailureReason::Connect(DialError::Refused(_))));
    assert_eq!(failure.dns, Duration::ZERO);
}

#[tokio::test]
async fn pulsetrails_own_listener_is_never_dialled() {
    let (_listener, port) = listener().await;
    let allow: Vec<IpNet> = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
    let own = vec![SocketAddr::from(([0, 0, 0, 0], port))];
    let closed = Shield::new(allow.clone(), own).unwrap();
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    for host in [Host::Ipv4(Ipv4Addr::LOCALHOST), Host::Ipv6(mapped), Host::Ipv4([0; 4].into())] {
        let failure = closed.connect(host, port, soon()).await.unwrap_err();
        assert!(matches!(failure.reason, DialFailureReason::Refused(_)), "{failure:?}");
    }
    // Positive control: without the entry each of them is dialled.
    let open = Shield::new(allow, vec![]).unwrap();
    for host in [Host::Ipv4(Ipv4Addr::LOCALHOST), Host::Ipv6(mapped), Host::Ipv4([0; 4].into())] {
        assert!(open.connect(host, port, soon()).await.is_ok());
    }
}

#[test]
fn a_literal_is_judged_without_being_resolved() {
    let shield = Shield::new(vec![], vec![]).unwrap();
    let judge = |url: &str| shield.judge_literal(&TargetUrl::try_from(url.to_owned()).unwrap());
    assert!(!judge("http://0x7f.1/").unwrap().is_accepted());
    assert!(judge("http://9.9.9.9/").unwrap().is_accepted());
    assert_eq!(judge("http://localhost/"), None);
}

/// A name other than `localhost` that `/etc/hosts` of this machine knows, if there is one.
fn name_in_hosts_file() -> Option<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    let lines = hosts.lines().filter_map(|line| line.split('#').next());
    let mut names = lines.flat_map(|line| line.split_whitespace().skip(1));
    names.find(|name| !name.contains("localhost")).map(str::to_owned)
}

#[tokio::test]
async fn a_question_to_the_dns_is_not_answered_from_the_hosts_file() {
    let server = name_server(|_, record_type| match record_type {
        RecordType::A => Ok(vec![RData::A(A::new(9, 9, 9, 9))]),
        _ => Ok(vec![]),
    })
    .await;
    let system = Shield::new(vec![], vec![]).unwrap();
    assert!(system.inner.resolver.reads_hosts_file(), "the control");
    assert!(!system.inner.questions.reads_hosts_file());
    // Machines without such a name have nothing that could be answered by mistake.
    let Some(name) = name_in_hosts_file() else { return };
    let deadline = Instant::now() + Duration::from_secs(5);
    let found = async |hosts: ResolveHosts| {
        let resolver = Resolver::with_servers(&[server], hosts).unwrap();
        resolver.addresses(&name, deadline).await.unwrap().known
    };
    let of_server: IpAddr = "9.9.9.9".parse().unwrap();
    assert_eq!(found(ResolveHosts::Never).await, [of_server]);
    assert_ne!(found(ResolveHosts::Always).await, [of_server], "the control");
}
