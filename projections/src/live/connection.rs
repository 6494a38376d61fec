//! One WebSocket: what comes in goes to the session, what the session has goes out.

use std::error::Error;
use std::num::NonZeroU32;
use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::Message;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota};
use pulsetrail_infra::metrics;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::farewell::{self, Farewell};
use super::message::{Refusal, ServerMessage};
use super::queue::Item;
use super::session::Session;

/// How often the client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that says nothing for so long, not even in answer to a ping, is gone.
const SILENT_FOR: Duration = Duration::from_secs(90);
/// A client that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// How many events are sent before the client is listened to again.
const BURST: usize = 64;
/// How many messages a client may send at once; then so many a second.
const MESSAGES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
const MESSAGES_A_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Serves a connection until either side closes it.
pub(super) async fn serve<S, E>(mut socket: S, session: Session, shutdown: CancellationToken)
where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
    E: Error + 'static,
{
    if let Some(farewell) = talk(&mut socket, session, shutdown).await {
        farewell.say(&mut socket).await;
    }
}

/// Listens and speaks until the connection is gone, or is to be closed.
async fn talk<S, E>(
    socket: &mut S,
    mut session: Session,
    shutdown: CancellationToken,
) -> Option<Farewell>
where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
    E: Error + 'static,
{
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let flood = DefaultDirectRateLimiter::direct(
        Quota::per_second(MESSAGES_A_SECOND).allow_burst(MESSAGES),
    );
    let pass = session.pass.clone();
    let mut ending = pin!(async {
        tokio::select! {
            () = shutdown.cancelled() => Farewell::GoingAway,
            () = pass.ended() => Farewell::Unauthorized,
        }
    });
    let mut heard_at = Instant::now();
    let mut page = None;
    loop {
        if page.is_none() {
            page = session.next_page();
        }
        let outgoing = tokio::select! {
            biased;
            farewell = &mut ending => return Some(farewell),
            incoming = socket.next() => {
                heard_at = Instant::now();
                let message = match incoming {
                    Some(Ok(message)) => message,
                    Some(Err(failure)) => return Farewell::of_failure(&failure),
                    None => return None,
                };
                if flood.check().is_err() {
                    return Some(Farewell::TooManyRequests);
                }
                match message {
                    Message::Text(text) => {
                        // What is being read may not be what is wanted any more.
                        page = None;
                        let answers = session.handle(text.as_str()).await;
                        answers.into_iter().map(Message::from).collect()
                    }
                    Message::Binary(_) => {
                        let detail = "Messages are JSON in text frames.";
                        vec![ServerMessage::from(Refusal::new("malformed", detail)).into()]
                    }
                    Message::Ping(_) | Message::Pong(_) => continue,
                    Message::Close(_) => {
                        farewell::answer_close(socket).await;
                        return None;
                    }
                }
            }
            _ = pings.tick() => {
                if heard_at.elapsed() > SILENT_FOR {
                    return Some(Farewell::Idle);
                }
                vec![Message::Ping(Default::default())]
            }
            read = next(&mut page) => {
                page = None;
                let (events, replayed) = session.take_page(&read);
                let events = events.iter().map(|event| Message::Text(event.message.clone()));
                events.chain(replayed.map(Message::from)).collect()
            }
            item = session.queue.next(), if !session.queue_waits() => match item {
                Some(item) => burst(&mut session, item),
                None => vec![session.take_end_of_queue().into()],
            },
        };
        let sent = tokio::select! {
            sent = timeout(SEND_TIMEOUT, send(socket, outgoing)) => sent,
            farewell = &mut ending => return Some(farewell),
        };
        if !matches!(sent, Ok(Ok(()))) {
            return None;
        }
    }
}

/// What came out of the queue, with what is behind it.
fn burst(session: &mut Session, first: Item) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut next = Some(first);
    while let Some(item) = next {
        messages.extend(session.take(item).map(|item| Message::Text(item.into_text())));
        next = (messages.len() < BURST).then(|| session.queue.next_now()).flatten();
    }
    messages
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

#[cfg(test)]
mod tests;
