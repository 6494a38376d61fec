//! A subscriber of the live feed.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long a message is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A WebSocket connection to the feed. How many watch a monitor comes at any time, and so is kept apart
/// from the other messages.
pub struct Feed {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    viewers: HashMap<String, u64>,
}

impl Feed {
    /// Connects to the interface at `url`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn open(url: &str, token: &str) -> Self {
        Self::try_open(url, Some(token), "").await.expect("the feed accepts")
    }

    /// Connects to the interface at `url`, if there is one that lets the bearer in.
    pub async fn open_if_there(url: &str, token: &str) -> Option<Self> {
        Self::try_open(url, Some(token), "").await.ok()
    }

    /// Connects to the interface at `url` with a one-time ticket, or gives the status of the refusal.
    ///
    /// # Errors
    /// The status; 0 where nobody answers.
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
            // Nobody is there, or not for long enough.
            Err(_) => return Err(0),
        };
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true).expect("an option of every socket");
        }
        Ok(Self { socket, viewers: HashMap::new() })
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
                let message = self.hear().await.expect("it is open");
                if message["type"] != "presence" {
                    return message;
                }
            }
        };
        tokio::time::timeout(patience, next).await.ok()
    }

    /// The next event; every other message is passed over.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next_event(&mut self) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == "event" {
                return message;
            }
        }
    }

    /// The next message of any kind; an error where the connection has ended, with the code of the close
    /// where there is one.
    ///
    /// # Errors
    /// The code.
    ///
    /// # Panics
    /// When it is no JSON.
    pub async fn hear(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if let (Some(monitor), Some(viewers)) =
                        (message["monitor_id"].as_str(), message["viewers"].as_u64())
                    {
                        self.viewers.insert(monitor.to_owned(), viewers);
                    }
                    return Ok(message);
                }
                Some(Ok(Message::Close(close))) => {
                    return Err(close.map(|close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Waits until so many watch a monitor. False where that is not said in time.
    ///
    /// # Panics
    /// When the connection ends.
    pub async fn until_viewers(&mut self, monitor: &str, count: u64, patience: Duration) -> bool {
        let right = async {
            while self.viewers.get(monitor) != Some(&count) {
                self.hear().await.expect("it is open");
            }
        };
        tokio::time::timeout(patience, right).await.is_ok()
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
                match self.hear().await {
                    Ok(message) => heard.push(message),
                    Err(code) => return code,
                }
            }
        };
        let code = tokio::time::timeout(PATIENCE, closed).await.expect("it is closed in time");
        (heard, code)
    }

    /// Sends frames, and hears meanwhile what comes until the server closes the connection.
    ///
    /// # Panics
    /// When it stays open.
    pub async fn send_and_hear(
        self,
        messages: impl IntoIterator<Item = Message>,
    ) -> (Vec<Value>, Option<u16>) {
        let (mut sink, mut stream) = self.socket.split();
        let (mut heard, mut code) = (Vec::new(), None);
        let hearing = async {
            while let Some(Ok(message)) = stream.next().await {
                match message {
                    Message::Text(text) => heard.push(serde_json::from_str(&text).expect("JSON")),
                    Message::Close(close) => code = close.map(|close| close.code.into()),
                    _ => {}
                }
            }
        };
        let sending = async {
            for message in messages {
                // The server need not take it all.
                if sink.send(message).await.is_err() {
                    break;
                }
            }
        };
        let both = async { tokio::join!(hearing, sending) };
        tokio::time::timeout(PATIENCE, both).await.expect("it is closed in time");
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
