//! A client without any of Pulsetrail: hyper, and rustls where the target speaks TLS. For rates it is a
//! process of its own, as a prober is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::target::Answering;

/// Set in the environment of a client that is a process of its own, to what it is to do, as JSON.
pub(crate) const ROLE: &str = "BENCH_BARE_CLIENT";

/// What a client that is a process of its own is to do: the target's port, a file with whom to trust where it
/// speaks TLS, and how many requests, at once, of how many hosts.
type Order = (u16, Option<PathBuf>, usize, usize, usize);

/// Requests a second of a process of its own, over so many of them, `concurrency` at once.
pub(super) async fn rate(
    target: &Answering,
    requests: usize,
    concurrency: usize,
    hosts: usize,
) -> f64 {
    let authority_file = target.authority_file().cloned();
    let order: Order = (target.port, authority_file, requests, concurrency, hosts);
    let ended = Command::new(std::env::current_exe().expect("this program"))
        .env(ROLE, serde_json::to_string(&order).expect("JSON"))
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("the client starts");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    said.trim().parse().unwrap_or_else(|_| panic!("a rate: {said}"))
}

/// What such a process does.
pub(crate) async fn run(order: &str) {
    let (port, authority_file, requests, concurrency, hosts): Order =
        serde_json::from_str(order).expect("an order");
    let roots = authority_file.map(|file| {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).expect("a file") {
            roots.add(certificate.expect("a certificate")).expect("an authority");
        }
        roots
    });
    let bare = Bare::trusting(port, roots);
    println!("{}", bare.rate(requests, concurrency, hosts).await);
}

/// The client.
#[derive(Clone)]
pub(super) struct Bare {
    port: u16,
    tls: Option<TlsConnector>,
}

impl Bare {
    /// Asks a target that does not speak TLS.
    pub(super) fn plain(target: &Answering) -> Self {
        Self::trusting(target.port, None)
    }

    fn trusting(port: u16, roots: Option<RootCertStore>) -> Self {
        let tls = roots.map(|roots| {
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let mut config = config
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            TlsConnector::from(Arc::new(config))
        });
        Self { port, tls }
    }

    /// Requests a second, over so many of them, `concurrency` at once.
    async fn rate(&self, requests: usize, concurrency: usize, hosts: usize) -> f64 {
        let begun = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..concurrency {
            let (bare, next) = (self.clone(), Arc::clone(&next));
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return;
                    }
                    let host = (number % hosts) as u8 + 1;
                    bare.request(SocketAddr::from(([127, 1, 0, host], bare.port))).await;
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended.expect("the worker ended");
        }
        requests as f64 / begun.elapsed().as_secs_f64()
    }

    /// One request over a fresh connection.
    pub(super) async fn request(&self, address: SocketAddr) {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        match &self.tls {
            None => ask(TokioIo::new(stream), address).await,
            Some(connector) => {
                let name = ServerName::from(address.ip());
                let stream = connector.connect(name, stream).await.expect("a handshake");
                ask(TokioIo::new(stream), address).await;
            }
        }
    }
}

async fn ask(io: impl Read + Write + Unpin + Send + 'static, address: SocketAddr) {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.expect("a connection");
    let request = hyper::Request::get("/")
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let talk = async {
        let response = sender.send_request(request).await.expect("an answer");
        response.into_body().collect().await.expect("a body");
    };
    tokio::pin!(talk, connection);
    tokio::select! {
        biased;
        () = &mut talk => return,
        _ended = &mut connection => {}
    }
    talk.await;
}
