//! The references: a loop that writes to as many sockets with the library that the server uses, and does
//! nothing else; and the system calls alone, from as many threads as there are processors.

use std::io::Write as _;
use std::thread::{self, available_parallelism};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Bytes of an event's message, as it is sent.
const MESSAGE_BYTES: usize = 900;

pub(super) struct Bare {
    listener: TcpListener,
    sockets: Vec<WebSocketStream<TcpStream>>,
}

impl Bare {
    pub(super) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { listener, sockets: Vec::new() }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("its address"))
    }

    pub(super) async fn accept(&mut self, count: usize) {
        while self.sockets.len() < count {
            let (stream, _) = self.listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("an option of every socket");
            self.sockets.push(accept_async(stream).await.expect("a WebSocket"));
        }
    }

    /// Writes one message to every socket, with a position.
    pub(super) async fn write(&mut self, position: i64) {
        let message = Utf8Bytes::from(message(position));
        for socket in &mut self.sockets {
            socket.send(Message::Text(message.clone())).await.expect("it is read");
        }
    }

    /// Answers the handshakes of closing.
    pub(super) async fn end(mut self) {
        for socket in &mut self.sockets {
            let _ = socket.close(None).await;
            let _ = socket.next().await;
        }
    }
}

/// Sockets that are written to with system calls alone.
pub(super) struct Ceiling(Vec<std::net::TcpStream>);

impl Ceiling {
    /// The sockets of a bare loop.
    pub(super) fn of(bare: Bare) -> Self {
        let streams = bare.sockets.into_iter().map(|socket| {
            let stream = socket.into_inner().into_std().expect("it is open");
            stream.set_nonblocking(false).expect("an option of every socket");
            stream
        });
        Self(streams.collect())
    }

    /// Writes one message to every socket, with a position, on all processors.
    pub(super) fn write(&self, position: i64) {
        let message = message(position);
        // The frame's head: a text that ends with it, unmasked, its length in two bytes (RFC 6455, 5.2).
        let mut frame = vec![0x81, 126];
        frame.extend((MESSAGE_BYTES as u16).to_be_bytes());
        frame.extend(message.as_bytes());
        let frame = &frame;
        let threads = available_parallelism().expect("processors").get();
        thread::scope(|scope| {
            for part in self.0.chunks(self.0.len().div_ceil(threads)) {
                scope.spawn(move || {
                    for mut stream in part {
                        stream.write_all(frame).expect("it is read");
                    }
                });
            }
        });
    }
}

/// A message as long as an event's.
fn message(position: i64) -> String {
    let message = format!("{{\"type\":\"event\",\"position\":{position},\"data\":\"");
    let filling = "x".repeat(MESSAGE_BYTES - message.len() - 2);
    format!("{message}{filling}\"}}")
}
