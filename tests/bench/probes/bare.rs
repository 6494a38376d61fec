//! A client without any of Pulsetrail: hyper, and rustls where the target speaks TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::target::Answering;

/// The client.
#[derive(Clone)]
pub(super) struct Bare {
    port: u16,
    tls: Option<TlsConnector>,
}

impl Bare {
    pub(super) fn new(target: &Answering) -> Self {
        let tls = target.authority_file().map(|_| {
            let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let mut config = config
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(target.roots())
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            TlsConnector::from(Arc::new(config))
        });
        Self { port: target.port, tls }
    }

    /// Requests a second, over so many of them, `concurrency` at once.
    pub(super) async fn rate(&self, requests: usize, concurrency: usize, hosts: usize) -> f64 {
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
