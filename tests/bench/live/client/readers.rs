//! The process of the subscribers. One thread reads all sockets, so that reading takes as little as it
//! can of the processors that what is measured runs on, too.

use std::io::stdin;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chrono::Utc;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::{IntoClientRequest as _, client_with_config};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// Connections that are opened at the same time.
const OPENING: usize = 64;
/// How an event's message begins, before its position.
const EVENT: &str = "{\"type\":\"event\",\"position\":";
/// Sockets that are looked at together.
const TOGETHER: usize = 1_024;
/// What came before this much silence is not counted: it belongs to the opening.
const SILENCE: Duration = Duration::from_millis(200);
/// How often it is looked whether enough was read.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) fn run() {
    let plan: Value = serde_json::from_str(&line()).expect("a plan");
    let mut readers = Readers::open(&plan);
    while readers.read(SILENCE) > 0 {}
    readers.reads.clear();
    println!("ready");
    let wanted = Arc::new(AtomicUsize::new(usize::MAX));
    let told = Arc::clone(&wanted);
    thread::spawn(move || {
        told.store(line().parse().expect("a number"), Ordering::Relaxed);
    });
    while readers.reads.len() < wanted.load(Ordering::Relaxed) {
        readers.read(LOOK);
    }
    println!("{}", json!(readers.reads));
}

fn line() -> String {
    let mut line = String::new();
    stdin().read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

struct Readers {
    poll: Poll,
    events: Events,
    sockets: Vec<WebSocket<TcpStream>>,
    /// The position of each event, and when it was read, in microseconds since 1970.
    reads: Vec<(i64, i64)>,
}

impl Readers {
    /// Connects and subscribes as planned. Those who shall read nothing are not listened to.
    fn open(plan: &Value) -> Self {
        let rooms = plan["rooms"].as_array().expect("rooms");
        let stalled = plan["stalled"].as_u64().unwrap_or_default() as usize;
        let poll = Poll::new().expect("a poll");
        let waiting = Mutex::new(rooms.iter().enumerate());
        let opened = Mutex::new(Vec::new());
        thread::scope(|threads| {
            for _ in 0..OPENING {
                threads.spawn(|| {
                    loop {
                        let next = waiting.lock().expect("no panic").next();
                        let Some((number, rooms)) = next else { return };
                        let socket = open(plan, rooms);
                        opened.lock().expect("no panic").push((number, socket));
                    }
                });
            }
        });
        let mut sockets = opened.into_inner().expect("no panic");
        sockets.sort_unstable_by_key(|(number, _)| *number);
        let sockets: Vec<_> = sockets.into_iter().map(|(_, socket)| socket).collect();
        for (number, socket) in sockets.iter().enumerate().skip(stalled) {
            socket.get_ref().set_nonblocking(true).expect("an option of every socket");
            let descriptor = socket.get_ref().as_raw_fd();
            poll.registry()
                .register(&mut SourceFd(&descriptor), Token(number), Interest::READABLE)
                .expect("it is open");
        }
        let events = Events::with_capacity(TOGETHER);
        Self { poll, events, sockets, reads: Vec::new() }
    }

    /// Reads what is there, waiting for it so long at most; returns how many events there were.
    fn read(&mut self, patience: Duration) -> usize {
        let before = self.reads.len();
        self.poll.poll(&mut self.events, Some(patience)).expect("a poll");
        for event in &self.events {
            let socket = &mut self.sockets[event.token().0];
            // An error says that there is nothing now; a connection that ended says nothing more.
            while let Ok(message) = socket.read() {
                self.reads.extend(read_of(&message));
            }
        }
        self.reads.len() - before
    }
}

#[expect(clippy::disallowed_methods, reason = "the address is the bench's own")]
fn open(plan: &Value, rooms: &Value) -> WebSocket<TcpStream> {
    let url = plan["url"].as_str().expect("a URL").replacen("http", "ws", 1);
    let mut request = format!("{url}/api/v1/live").into_client_request().expect("an address");
    let bearer = format!("Bearer {}", plan["token"].as_str().expect("a token"));
    request.headers_mut().insert("authorization", bearer.parse().expect("a header"));
    let address = request.uri().authority().expect("an address").as_str();
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("an option of every socket");
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let (mut socket, _) =
        client_with_config(request, stream, Some(config)).expect("the feed accepts");
    if rooms.as_array().is_none_or(Vec::is_empty) {
        return socket;
    }
    let mut subscribe = json!({"type": "subscribe", "monitors": rooms});
    let until = if plan["after"].is_null() { "subscribed" } else { "replayed" };
    if !plan["after"].is_null() {
        subscribe["after"] = plan["after"].clone();
    }
    socket.send(Message::text(subscribe.to_string())).expect("it is open");
    let begins = format!("{{\"type\":\"{until}\"");
    while let Ok(message) = socket.read() {
        if message.to_text().is_ok_and(|text| text.starts_with(&begins)) {
            return socket;
        }
    }
    panic!("the feed does not answer");
}

/// Which event it is, and that it was read now.
fn read_of(message: &Message) -> Option<(i64, i64)> {
    let now_us = Utc::now().timestamp_micros();
    let Message::Text(text) = message else { return None };
    let (position, _) = text.strip_prefix(EVENT)?.split_once(',')?;
    Some((position.parse().expect("a position"), now_us))
}
