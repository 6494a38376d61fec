//! Targets that do as a test tells them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A target, which lives as long as the test's runtime.
pub(super) struct TestTarget {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl TestTarget {
    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Accepts connections and does with each what `serve` says; it gets the number of the connection,
/// from 0.
pub(super) async fn serving<F, S>(serve: F) -> TestTarget
where
    F: Fn(TcpStream, usize) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, counter.fetch_add(1, Ordering::SeqCst)));
        }
    });
    TestTarget { address, connections }
}

/// Reads one request's head and answers with these bytes, then closes.
pub(super) async fn answering(answer: impl Into<String>) -> TestTarget {
    let answer = answer.into();
    answering_by(move |_, _| answer.clone()).await
}

/// Answers each request, of which it gets the head, as `answer` says, then closes.
pub(super) async fn answering_by(
    answer: impl Fn(&str, usize) -> String + Send + Sync + 'static,
) -> TestTarget {
    let answer = Arc::new(answer);
    serving(move |mut stream, number| {
        let answer = Arc::clone(&answer);
        async move {
            let head = read_head(&mut stream).await;
            write_and_close(&mut stream, &answer(&head, number)).await;
        }
    })
    .await
}

/// Reads up to the end of a request's head.
pub(super) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_closed) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

pub(super) async fn write_and_close(stream: &mut (impl AsyncWrite + Unpin), bytes: &str) {
    // The prober may have seen enough and be gone.
    let _ = stream.write_all(bytes.as_bytes()).await;
    let _ = stream.shutdown().await;
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub(super) fn redirect(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}
