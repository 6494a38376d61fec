//! One WebSocket: what comes in goes to the session, what the session has goes out.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, close_code};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use pulsetrail_infra::metrics;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::message::{Refusal, ServerMessage};
use super::session::Session;

/// How often the client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that says nothing for so long, not even in answer to a ping, is gone.
const SILENT_FOR: Duration = Duration::from_secs(90);
/// A client that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many events are sent before the client is listened to again.
const BURST: usize = 64;

/// Serves a connection until either side closes it.
pub(super) async fn serve<S, E>(mut socket: S, mut session: Session, shutdown: CancellationToken)
where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
{
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    let mut page = None;
    loop {
        if page.is_none() {
            page = session.next_page();
        }
        let outgoing = tokio::select! {
            biased;
            () = shutdown.cancelled() => return say_goodbye(&mut socket).await,
            incoming = socket.next() => {
                heard_at = Instant::now();
                match incoming {
                    Some(Ok(Message::Text(text))) => {
                        // What is being read may not be what is wanted any more.
                        page = None;
                        let answers = session.handle(text.as_str()).await;
                        answers.into_iter().map(Message::from).collect()
                    }
                    Some(Ok(Message::Binary(_))) => {
                        let detail = "Messages are JSON in text frames.";
                        vec![ServerMessage::from(Refusal::new("malformed", detail)).into()]
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
            _ = pings.tick() => {
                if heard_at.elapsed() > SILENT_FOR {
                    return;
                }
                vec![Message::Ping(Default::default())]
            }
            read = next(&mut page) => {
                page = None;
                let (events, replayed) = session.take_page(&read);
                let events = events.iter().map(|event| Message::Text(event.message.clone()));
                events.chain(replayed.map(Message::from)).collect()
            }
            event = session.queue.recv(), if !session.is_replaying() => match event {
                Some(event) => {
                    let mut messages = Vec::new();
                    let mut next = Some(event);
                    while let Some(event) = next {
                        let taken = session.take_event(&event);
                        messages.extend(taken.map(|event| Message::Text(event.message.clone())));
                        next = (messages.len() < BURST)
                            .then(|| session.queue.try_recv().ok())
                            .flatten();
                    }
                    messages
                }
                None => vec![session.take_end_of_queue().into()],
            },
        };
        let sent = tokio::select! {
            sent = timeout(SEND_TIMEOUT, send(&mut socket, outgoing)) => sent,
            () = shutdown.cancelled() => return say_goodbye(&mut socket).await,
        };
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// The page, when it is read; never, where none is being read.
async fn next<F: Future + Unpin>(page: &mut Option<F>) -> F::Output {
    match page {
        Some(page) => page.await,
        None => std::future::pending().await,
    }
}

async fn send<S: Sink<Message> + Unpin>(
    socket: &mut S,
    messages: Vec<Message>,
) -> Result<(), S::Error> {
    let count = messages.len();
    for message in messages {
        socket.feed(message).await?;
    }
    socket.flush().await?;
    metrics::live_sent(count);
    Ok(())
}

async fn say_goodbye<S: Sink<Message> + Unpin>(socket: &mut S) {
    let close = CloseFrame { code: close_code::AWAY, reason: "the server is shutting down".into() };
    // Who does not take it finds the connection closed.
    let _ = timeout(GOODBYE_TIMEOUT, socket.send(Message::Close(Some(close)))).await;
}

#[cfg(test)]
mod tests;
