//! Connections that ask for much and read nothing.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::requests::KINDS;
use super::{HOSTILE_ADDRESS, Hostile, Size};

/// Answers that a connection asks for: more than fits into the sockets.
const ANSWERS: usize = 50;
/// How long a connection is kept. The server may close it before.
const KEPT: Duration = Duration::from_secs(30);

/// Opens them, and others when these are closed.
pub(super) fn start(hostile: &Hostile, size: Size) {
    for _ in 0..size.unread {
        hostile.repeat(KINDS[8], unread);
    }
    for _ in 0..size.feeds {
        hostile.repeat(KINDS[9], unread_feed);
    }
}

async fn unread(hostile: Hostile, _number: u64) -> bool {
    let host = hostile.user.url.trim_start_matches("http://");
    let request = format!("GET /api/openapi.json HTTP/1.1\r\nhost: {host}\r\n\r\n");
    if let Ok(mut stream) = connect(host.parse().unwrap()).await {
        let asking = request.repeat(ANSWERS);
        if stream.write_all(asking.as_bytes()).await.is_ok() {
            hostile.note(KINDS[8]);
            sleep(KEPT).await;
            // It is counted already: the test may end before the connection does.
            return false;
        }
    }
    // It was turned away.
    sleep(Duration::from_millis(100)).await;
    false
}

async fn connect(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(HOSTILE_ADDRESS, 0))?;
    socket.connect(server).await
}

async fn unread_feed(hostile: Hostile, _number: u64) -> bool {
    match subscribe(&hostile).await {
        Some(_kept_open) => {
            hostile.note(KINDS[9]);
            sleep(KEPT).await;
        }
        None => sleep(Duration::from_millis(100)).await,
    }
    // It is counted already: the test may end before the connection does.
    false
}

/// A connection to the live feed that is subscribed to everything; none if it is refused.
async fn subscribe(hostile: &Hostile) -> Option<WebSocketStream<TcpStream>> {
    let server = hostile.user.url.trim_start_matches("http://");
    let mut request = format!("ws://{server}/api/v1/live").into_client_request().ok()?;
    let bearer = format!("Bearer {}", hostile.user.token).parse().ok()?;
    request.headers_mut().insert("authorization", bearer);
    let stream = connect(server.parse().ok()?).await.ok()?;
    let (mut socket, _) = client_async(request, stream).await.ok()?;
    let subscribe = json!({"type": "subscribe", "monitors": "all"}).to_string();
    socket.send(Message::text(subscribe)).await.ok()?;
    Some(socket)
}
