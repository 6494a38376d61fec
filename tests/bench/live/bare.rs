//! The reference: a loop that writes to as many sockets, with the library that the server uses, and does
//! nothing else.

use chrono::{SecondsFormat, Utc};
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

    /// Writes one message to every socket.
    pub(super) async fn write(&mut self) {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        let message = format!("{{\"type\":\"event\",\"time\":\"{now}\",\"data\":\"");
        let filling = "x".repeat(MESSAGE_BYTES - message.len() - 2);
        let message = Utf8Bytes::from(format!("{message}{filling}\"}}"));
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
