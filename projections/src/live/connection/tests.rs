use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::ws::Utf8Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::{PollSendError, PollSender};

use super::super::session::tests::{hub, publish, session};
use super::*;

/// The server's end of a connection without a network.
struct Pipe {
    incoming: mpsc::Receiver<Message>,
    outgoing: PollSender<Message>,
}

impl Stream for Pipe {
    type Item = Result<Message, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_recv(context).map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Pipe {
    type Error = PollSendError<Message>;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_ready_unpin(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        self.outgoing.start_send_unpin(message)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_flush_unpin(context)
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_close_unpin(context)
    }
}

/// The client's end.
struct Client {
    to_server: mpsc::Sender<Message>,
    from_server: mpsc::Receiver<Message>,
}

impl Client {
    async fn say(&self, message: Value) {
        let text = Utf8Bytes::from(message.to_string());
        self.to_server.send(Message::Text(text)).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        match self.from_server.recv().await.unwrap() {
            Message::Text(text) => serde_json::from_str(text.as_str()).unwrap(),
            other => panic!("{other:?} is no text"),
        }
    }
}

/// A connection whose socket takes `room` messages that the client does not read.
fn connection(hub: &super::super::LiveHub, room: usize, shutdown: &CancellationToken) -> Client {
    let (to_server, incoming) = mpsc::channel(16);
    let (outgoing, from_server) = mpsc::channel(room);
    let pipe = Pipe { incoming, outgoing: PollSender::new(outgoing) };
    tokio::spawn(serve(pipe, session(hub), shutdown.clone()));
    Client { to_server, from_server }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    let (hub, shutdown) = (hub(), CancellationToken::new());
    let mut slow = connection(&hub, 1, &shutdown);
    let mut quick = connection(&hub, 1, &shutdown);
    for client in [&mut slow, &mut quick] {
        client.say(json!({"type": "subscribe", "monitors": "all"})).await;
        assert_eq!(client.hear().await["type"], "subscribed");
    }
    for position in 11..=3_000 {
        publish(&hub, [position]);
        assert_eq!(quick.hear().await["position"], position);
    }
    let mut lagged = 0;
    let mut next = 11;
    while next <= 3_000 {
        let message = slow.hear().await;
        match message["type"].as_str().unwrap() {
            "lagged" => {
                assert_eq!(message["resume_after"], next - 1);
                lagged += 1;
            }
            "event" => {
                assert_eq!(message["position"], next);
                next += 1;
            }
            other => panic!("{other} was not expected"),
        }
    }
    assert_eq!(lagged, 1);
}

#[tokio::test]
async fn a_shutdown_says_that_the_server_goes_away() {
    let (hub, shutdown) = (hub(), CancellationToken::new());
    let mut client = connection(&hub, 4, &shutdown);
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await, json!({"type": "pong"}));
    shutdown.cancel();
    match client.from_server.recv().await {
        Some(Message::Close(Some(close))) => assert_eq!(close.code, 1001),
        other => panic!("{other:?} is no goodbye"),
    }
}

#[tokio::test]
async fn what_is_not_understood_is_answered_and_the_connection_stays() {
    let (hub, shutdown) = (hub(), CancellationToken::new());
    let mut client = connection(&hub, 4, &shutdown);
    client.to_server.send(Message::Binary(vec![1, 2].into())).await.unwrap();
    assert_eq!(client.hear().await["code"], "malformed");
    client.say(json!({"type": "shout"})).await;
    assert_eq!(client.hear().await["code"], "malformed");
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await["type"], "pong");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_for_long_is_let_go() {
    let (hub, shutdown) = (hub(), CancellationToken::new());
    let mut client = connection(&hub, 16, &shutdown);
    let mut pings = 0;
    loop {
        match client.from_server.recv().await.unwrap() {
            Message::Ping(_) => pings += 1,
            Message::Close(Some(close)) => break assert_eq!(close.code, 4408),
            other => panic!("{other:?} was not expected"),
        }
    }
    assert_eq!(pings, 4);
}

#[tokio::test]
async fn a_flood_of_messages_ends_the_connection() {
    let (hub, shutdown) = (hub(), CancellationToken::new());
    let mut client = connection(&hub, 16, &shutdown);
    let flood = client.to_server.clone();
    tokio::spawn(async move {
        let text = Utf8Bytes::from(json!({"type": "ping"}).to_string());
        while flood.send(Message::Text(text.clone())).await.is_ok() {}
    });
    let mut pongs = 0;
    let refusal = loop {
        let message = client.hear().await;
        if message["type"] != "pong" {
            break message;
        }
        pongs += 1;
    };
    assert!(pongs >= MESSAGES.get(), "{pongs}");
    assert_eq!(
        (&refusal["type"], &refusal["code"]),
        (&json!("error"), &json!("too_many_requests"))
    );
    match client.from_server.recv().await {
        Some(Message::Close(Some(close))) => assert_eq!(close.code, 4429),
        other => panic!("{other:?} is no goodbye"),
    }
}
