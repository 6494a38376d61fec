//! A subscriber of the live feed.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
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
        Self::try_open(url, Some(token), "").await.expect("the feed accepts")
    }

    /// Connects to the interface at `url` with a one-time ticket, or gives the status of the refusal.
    ///
    /// # Errors
    /// The status.
    pub async fn with_ticket(url: &str, ticket: &str) -> Result<Self, u16> {
        Self::try_open(url, None, &format!("?ticket={ticket}")).await
    }

    async fn try_open(url: &str, token: Option<&str>, query: &str) -> Result<Self, u16> {
        let address = format!("{}/api/v1/live{query}", url.replacen("http", "ws", 1));
        let mut request = address.into_client_request().expect("an address");
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().expect("a header");
            request.headers_mut().insert("authorization", bearer);
        }
        let (socket, _) = match connect_async(request).await {
            Ok(opened) => opened,
            Err(Error::Http(response)) => return Err(response.status().as_u16()),
            Err(error) => panic!("the feed at {url} does not answer: {error}"),
        };
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true).expect("an option of every socket");
        }
        Ok(Self { socket })
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

    /// Sends a frame as it is. What the server thinks of it is to be read, also where it would not take
    /// all of it.
    pub async fn send(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    /// Every message that comes until the server closes the connection, and the code of the close; none
    /// where the connection just ends.
    ///
    /// # Panics
    /// When it stays open.
    pub async fn until_closed(&mut self) -> (Vec<Value>, Option<u16>) {
        let mut heard = Vec::new();
        let closed = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        heard.push(serde_json::from_str(&text).expect("JSON"));
                    }
                    Some(Ok(Message::Close(close))) => return close.map(|close| close.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        let code = tokio::time::timeout(PATIENCE, closed).await.expect("it is closed in time");
        (heard, code)
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
