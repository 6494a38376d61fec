//! An authoritative name server whose answers are meant to deceive.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::proto::op::{Metadata, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::UdpSocket;

/// The first label of a name up to its number says how it deceives.
pub(super) const KINDS: [Kind; 9] = [
    Kind { label: "rebind", always_refused: false },
    Kind { label: "flip", always_refused: false },
    Kind { label: "honest", always_refused: false },
    Kind { label: "mixed", always_refused: true },
    Kind { label: "mixed6", always_refused: false },
    Kind { label: "chain", always_refused: true },
    Kind { label: "only6", always_refused: true },
    Kind { label: "private", always_refused: true },
    Kind { label: "carried", always_refused: true },
];

/// A way of deceiving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) label: &'static str,
    /// Whether no answer of it may be dialled, at any time.
    pub(super) always_refused: bool,
}

impl Kind {
    /// The name number `number` of this kind.
    pub(super) fn name(self, number: usize) -> String {
        format!("{}-{number}.test", self.label)
    }
}

/// The answers of the zone `test`.
pub(super) struct Zone {
    /// Where everybody may go.
    good: Ipv4Addr,
    /// Where nobody may.
    canaries: Vec<IpAddr>,
    asked: Mutex<HashMap<(String, RecordType), usize>>,
    turn: AtomicUsize,
}

impl Zone {
    /// Serves the zone on loopback until the runtime ends.
    pub(super) async fn serve(good: Ipv4Addr, canaries: Vec<IpAddr>) -> SocketAddr {
        let zone = Self { good, canaries, asked: Mutex::default(), turn: AtomicUsize::default() };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut server = Server::new(zone);
        server.register_socket(socket);
        tokio::spawn(async move { server.block_until_done().await });
        address
    }

    fn canary(&self, number: usize, wanted: impl Fn(&IpAddr) -> bool) -> IpAddr {
        let fitting: Vec<&IpAddr> = self.canaries.iter().filter(|ip| wanted(ip)).collect();
        *fitting[number % fitting.len()]
    }

    /// The answers to a question, and how long they are good.
    fn answers(&self, name: &str, record_type: RecordType) -> (Vec<RData>, u32) {
        let (kind, number) = name.split_once('.').unwrap().0.rsplit_once('-').unwrap();
        let number: usize = number.parse().unwrap();
        let before = {
            let mut asked = self.asked.lock().unwrap();
            let count = asked.entry((name.to_owned(), record_type)).or_default();
            *count += 1;
            *count - 1
        };
        let good = RData::A(A(self.good));
        let v4 = || data(self.canary(number, IpAddr::is_ipv4));
        let v6 = || data(self.canary(number, IpAddr::is_ipv6));
        let (a, aaaa) = match kind {
            // Good when it is asked first, and bad from then on.
            "rebind" if before == 0 => (vec![good], vec![]),
            "rebind" | "private" => (vec![v4()], vec![]),
            "flip" if self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                (vec![good], vec![])
            }
            "flip" => (vec![v4()], vec![]),
            "honest" => (vec![good], vec![]),
            "mixed" if number.is_multiple_of(2) => (vec![good, v4()], vec![]),
            "mixed" => (vec![v4(), good], vec![]),
            "mixed6" => (vec![good], vec![v6()]),
            "only6" => (vec![], vec![v6()]),
            "carried" => (vec![], vec![data(carried(number))]),
            "chain" => {
                let next = format!("{}-{number}.test.", ["chain1", "chain2"][number % 2]);
                (vec![alias(&next)], vec![alias(&next)])
            }
            "chain1" => {
                let next = alias(&format!("chain2-{number}.test."));
                (vec![next.clone()], vec![next])
            }
            "chain2" => (vec![v4()], vec![]),
            _ => (vec![], vec![]),
        };
        let ttl = if matches!(kind, "rebind" | "flip") { 0 } else { 60 };
        let answers = match record_type {
            RecordType::A => a,
            RecordType::AAAA => aaaa,
            _ => vec![],
        };
        (answers, ttl)
    }
}

fn alias(name: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(name).unwrap()))
}

fn data(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

/// 127.0.0.1 in the forms that carry it.
fn carried(number: usize) -> IpAddr {
    let forms = [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "2002:7f00:1::1",
        "2001:0:808:808::80ff:fffe",
        "2a00:1450::5efe:127.0.0.1",
    ];
    forms[number % forms.len()].parse().unwrap()
}

#[async_trait::async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let query = request.request_info().unwrap().query;
        let name = Name::from(query.name().clone());
        let text = name.to_ascii().to_lowercase();
        let (answers, ttl) = self.answers(text.trim_end_matches('.'), query.query_type());
        let records: Vec<Record> =
            answers.into_iter().map(|data| Record::from_rdata(name.clone(), ttl, data)).collect();
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        metadata.recursion_available = true;
        metadata.response_code = ResponseCode::NoError;
        let response = MessageResponseBuilder::from_message_request(request).build(
            metadata,
            &records,
            [],
            [],
            [],
        );
        response_handle.send_response(response).await.unwrap()
    }
}
