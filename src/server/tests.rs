//! The server alone, over routes of the tests' own.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use super::*;

const TIMES: Times = Times { head: Duration::from_secs(30), write: Duration::from_secs(60) };
/// More than the kernel takes for a client that does not read.
const BIG_BYTES: usize = 64 << 20;
const BIG: &str = "GET /big HTTP/1.1\r\nhost: a\r\n\r\n";
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A server that ends with the test.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
    connections: Arc<Connections>,
}

async fn run(times: Times, limits: ConnectionLimits) -> Running {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let big = Bytes::from(vec![b'x'; BIG_BYTES]);
    let routes = Router::new()
        .route("/", get(async || "fine"))
        .route("/healthz", get(async || "fine"))
        .route("/big", get(move || async { big }));
    let (stop, connections) = (CancellationToken::new(), Connections::new(limits));
    let serving = serve_within(times, listener, routes, connections.clone(), stop.clone());
    Running { address, stop, server: tokio::spawn(serving), connections }
}

/// So many connections in all, and so many of them from one address, which many share.
fn limits(total: usize, per_shared_address: usize) -> ConnectionLimits {
    ConnectionLimits { total, per_address: 1, per_shared_address, proxies: Vec::new() }
}

impl Running {
    async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// What is answered to `said`, to its end. A server that closes at once may do so by a reset.
    async fn answer(&self, from: &str, said: &str) -> String {
        let mut stream = self.connect(from).await;
        let mut bytes = Vec::new();
        let talk = async {
            stream.write_all(said.as_bytes()).await?;
            stream.read_to_end(&mut bytes).await
        };
        // Ends only when the server closes the connection.
        let closed = tokio::time::timeout(Duration::from_secs(20), talk).await;
        assert!(closed.is_ok(), "not closed after {said:?}");
        String::from_utf8(bytes).unwrap()
    }

    async fn is_healthy(&self, from: &str) -> bool {
        self.answer(from, HEALTH).await.starts_with("HTTP/1.1 200")
    }

    /// Clients that ask for more than the kernel takes, and do not read.
    async fn who_do_not_read(&self, from: &str, number: usize) -> Vec<TcpStream> {
        let mut clients = Vec::new();
        for _ in 0..number {
            let mut client = self.connect(from).await;
            // One that is refused may be gone already.
            let _ = client.write_all(BIG.as_bytes()).await;
            clients.push(client);
        }
        clients
    }

    /// Waits until so many connections are open.
    async fn until_open(&self, number: usize) {
        let reached = async {
            while self.connections.count() != number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(reached.is_ok(), "{} are open, not {number}", self.connections.count());
    }

    async fn end(self) {
        self.stop.cancel();
        self.server.await.unwrap();
    }
}

/// What a server answers to `said` that waits 200 ms for a head.
async fn answer(said: &str) -> String {
    let times = Times { head: Duration::from_millis(200), ..TIMES };
    let server = run(times, limits(100, 100)).await;
    let text = server.answer("127.0.0.1", said).await;
    server.end().await;
    text
}

#[tokio::test]
async fn who_does_not_get_on_with_a_request_is_cut_off() {
    for said in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        assert!(!answer(said).await.contains("fine"), "{said}");
    }
    let whole = answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(whole.ends_with("fine"), "answered, and cut off when it lay idle: {whole}");
}

#[tokio::test]
async fn more_headers_than_any_client_sends_are_refused() {
    let headers = |number: usize| "x: y\r\n".repeat(number);
    let many = |number| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", headers(number));
    assert!(answer(&many(50)).await.starts_with("HTTP/1.1 200"));
    assert!(answer(&many(200)).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn clients_of_one_address_that_do_not_read_keep_no_other_address_from_being_answered() {
    let server = run(TIMES, limits(40, 35)).await;
    let attackers = server.who_do_not_read("127.0.0.2", 100).await;
    server.until_open(35).await;
    for _ in 0..20 {
        assert!(server.is_healthy("127.0.0.1").await);
    }
    let refused = server.answer("127.0.0.2", "").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "there is no room for more of them: {refused}");
    drop(attackers);
    server.until_open(0).await;
    assert!(server.is_healthy("127.0.0.2").await);
    server.end().await;

    // Where one address may take every place, nobody else is answered.
    let server = run(TIMES, limits(40, 40)).await;
    let attackers = server.who_do_not_read("127.0.0.2", 100).await;
    server.until_open(40).await;
    assert!(!server.is_healthy("127.0.0.1").await);
    drop(attackers);
    server.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_in_the_middle_of_its_answer() {
    let times = Times { write: Duration::from_millis(200), ..TIMES };
    let server = run(times, limits(40, 40)).await;
    let mut clients = server.who_do_not_read("127.0.0.2", 10).await;
    server.until_open(0).await;
    let mut got = Vec::new();
    // What the kernel took before is there, and then the connection is over.
    let _ = clients.remove(0).read_to_end(&mut got).await;
    assert!(got.starts_with(b"HTTP/1.1 200") && got.len() < BIG_BYTES, "{}", got.len());
    server.end().await;
}
