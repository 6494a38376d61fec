//! The subscribers: a process of its own, so that reading is not measured with writing. It is this
//! bench's program again, told by a variable, with its plan on standard input.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin};
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::samples_of;
use crate::samples::Samples;

/// The variable that makes a process the subscribers.
pub(crate) const ROLE: &str = "BENCH_LIVE_CLIENT";
/// Connections that are opened at the same time.
const OPENING: usize = 64;

/// What subscribers do.
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) token: String,
    /// Of each connection the rooms; none of one that only listens.
    pub(super) rooms: Vec<Vec<String>>,
    /// So many of them read nothing after they have subscribed.
    pub(super) stalled: usize,
    pub(super) after: Option<i64>,
}

/// The running subscribers.
pub(super) struct Subscribers {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What they have seen.
pub(super) struct Seen {
    pub(super) messages: u64,
    pub(super) latencies: Samples,
    /// From the first message to the last.
    pub(super) seconds: f64,
}

impl Subscribers {
    /// Starts them, and waits until all have subscribed and been sent what they have missed.
    pub(super) async fn start(plan: Plan) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the subscribers start");
        let Plan { url, token, rooms, stalled, after } = plan;
        let plan = json!({"url": url, "token": token, "rooms": rooms, "stalled": stalled,
                          "after": after});
        let mut subscribers = {
            let output = BufReader::new(child.stdout.take().expect("its output"));
            Self { child, output }
        };
        subscribers.say(&plan.to_string()).await;
        assert_eq!(subscribers.hear().await, "ready");
        subscribers
    }

    async fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        input.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).await.expect("it answers");
        line.trim_end().to_owned()
    }

    /// Waits until they have so many events in all, and ends them.
    pub(super) async fn until(mut self, messages: u64) -> Seen {
        self.say(&messages.to_string()).await;
        let seen: Value = serde_json::from_str(&self.hear().await).expect("figures");
        Seen {
            messages: seen["messages"].as_u64().expect("a number"),
            latencies: samples_of(&seen["latencies"]),
            seconds: seen["seconds"].as_f64().expect("a number"),
        }
    }
}

/// What the process has read.
#[derive(Default)]
struct Read {
    latencies_ms: Vec<f32>,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

/// The process of the subscribers.
pub(crate) async fn run() {
    let mut lines = BufReader::new(stdin()).lines();
    let mut next = async || lines.next_line().await.expect("a line").expect("a line");
    let plan: Arc<Value> = Arc::new(serde_json::from_str(&next().await).expect("a plan"));
    let read = Arc::new(Mutex::new(Read::default()));
    let rooms = plan["rooms"].as_array().expect("rooms").clone();
    let stalled = plan["stalled"].as_u64().unwrap_or_default() as usize;
    let opened: Vec<_> = stream::iter(rooms.into_iter().enumerate())
        .map(|(number, rooms)| {
            let (plan, read) = (Arc::clone(&plan), Arc::clone(&read));
            async move {
                let mut socket = open(&plan, &rooms).await;
                let reads = number >= stalled;
                tokio::spawn(async move {
                    while reads && let Some(Ok(message)) = socket.next().await {
                        note(&message, &read);
                    }
                    std::future::pending::<()>().await;
                    drop(socket);
                });
            }
        })
        .buffer_unordered(OPENING)
        .collect()
        .await;
    drop(opened);
    *read.lock().expect("no panic") = Read::default();
    println!("ready");
    let wanted: usize = next().await.parse().expect("a number");
    while read.lock().expect("no panic").latencies_ms.len() < wanted {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let read = std::mem::take(&mut *read.lock().expect("no panic"));
    let took = read.last.zip(read.first).map(|(last, first)| last - first).unwrap_or_default();
    println!(
        "{}",
        json!({
            "messages": read.latencies_ms.len(), "latencies": read.latencies_ms,
            "seconds": took.num_microseconds().unwrap_or_default() as f64 / 1e6,
        })
    );
}

async fn open(
    plan: &Value,
    rooms: &Value,
) -> WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>> {
    let url = plan["url"].as_str().expect("a URL").replacen("http", "ws", 1);
    let mut request = format!("{url}/api/v1/live").into_client_request().expect("an address");
    let bearer = format!("Bearer {}", plan["token"].as_str().expect("a token"));
    request.headers_mut().insert("authorization", bearer.parse().expect("a header"));
    let (mut socket, _) = connect_async(request).await.expect("the feed accepts");
    if rooms.as_array().is_none_or(Vec::is_empty) {
        return socket;
    }
    let mut subscribe = json!({"type": "subscribe", "monitors": rooms});
    let until = if plan["after"].is_null() { "subscribed" } else { "replayed" };
    if !plan["after"].is_null() {
        subscribe["after"] = plan["after"].clone();
    }
    socket.send(Message::text(subscribe.to_string())).await.expect("it is open");
    let begins = format!("{{\"type\":\"{until}\"");
    while let Some(Ok(message)) = socket.next().await {
        if message.to_text().is_ok_and(|text| text.starts_with(&begins)) {
            return socket;
        }
    }
    panic!("the feed does not answer");
}

/// An event's way: from when it was stored to now.
fn note(message: &Message, read: &Mutex<Read>) {
    let now = Utc::now();
    let Message::Text(text) = message else { return };
    if !text.starts_with("{\"type\":\"event\"") {
        return;
    }
    let time = text.split_once("\"time\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let (time, _) = time.expect("an event has a time");
    let stored: DateTime<Utc> = time.parse().expect("a time");
    let took = (now - stored).num_microseconds().expect("a short time");
    let mut read = read.lock().expect("no panic");
    read.first.get_or_insert(now);
    read.last = Some(now);
    read.latencies_ms.push(took as f32 / 1_000.0);
}
