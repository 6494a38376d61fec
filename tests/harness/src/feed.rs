//! A subscriber of the live feed.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a message is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket connection to the feed.
pub struct Feed {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Feed {
    /// Connects to the interface at `url`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(url: &str, token: &str) -> Self {
        let address = format!("{}/api/v1/live", url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().expect("an address");
        let bearer = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", bearer);
        let (socket, _) = connect_async(request).await.expect("the feed accepts");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true).expect("an option of every socket");
        }
        Self { socket }
    }

    /// Subscribes to `monitors` (a list, or "all"), after a position or from now on, and returns the
    /// position that the answer gives.
    ///
    /// # Panics
    /// When the answer is another one.
    pub async fn subscribe(&mut self, monitors: Value, after: Option<i64>) -> i64 {
        let mut request = json!({ "type": "subscribe", "monitors": monitors });
        if let Some(after) = after {
            request["after"] = after.into();
        }
        self.say(&request).await;
        let answer = self.next().await;
        assert_eq!(answer["type"], "subscribed", "{answer}");
        answer["position"].as_i64().expect("a position")
    }

    /// Sends a message.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("it is open");
    }

    /// The next message that is JSON.
    ///
    /// # Panics
    /// When none comes in time, or the connection ends.
    pub async fn next(&mut self) -> Value {
        self.next_within(PATIENCE).await.expect("a message in time")
    }

    /// The next message that is JSON, if it comes in time.
    ///
    /// # Panics
    /// When the connection ends.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Value> {
        let next = async {
            loop {
                let message = self.socket.next().await.expect("it is open").expect("a message");
                if let Message::Text(text) = message {
                    return serde_json::from_str(&text).expect("JSON");
                }
            }
        };
        tokio::time::timeout(patience, next).await.ok()
    }

    /// Passes messages over until an event of the given type comes, and returns its message.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn until_event(&mut self, name: &str) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let Some(message) = self.next_within(left).await else {
                panic!("no {name} came within {PATIENCE:?}")
            };
            let kind = message["event"]["type"].as_str().unwrap_or_default();
            if kind.rsplit('.').next() == Some(name) {
                return message;
            }
        }
    }
}
