//! How the server ends a connection: a code that programs know, and words for people.

use std::error::Error;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, close_code};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::MAX_MESSAGE_BYTES;
use super::message::{Refusal, ServerMessage};

/// How long a goodbye may take, and how long its answer is waited for.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the server ends a connection. The codes are those of RFC 6455, 7.4; from 4000 on they are ours,
/// and end like the HTTP status that means the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The server stops: another one, or the next, has everything.
    GoingAway,
    /// What was sent is no WebSocket.
    Protocol,
    /// What was sent as text is none.
    NotText,
    TooLarge,
    /// The credential has ended, or does not count any more.
    Unauthorized,
    /// Nothing was heard for too long.
    Idle,
    TooManyRequests,
    TooManyConnections,
}

impl Farewell {
    /// Why reading fails; none where there is nobody to tell it.
    pub(super) fn of_failure(failure: &(dyn Error + 'static)) -> Option<Self> {
        match failure.source()?.downcast_ref::<tungstenite::Error>()? {
            tungstenite::Error::Capacity(_) => Some(Self::TooLarge),
            tungstenite::Error::Protocol(_) => Some(Self::Protocol),
            tungstenite::Error::Utf8(_) => Some(Self::NotText),
            _ => None,
        }
    }

    pub(super) fn code(self) -> u16 {
        match self {
            Self::GoingAway => close_code::AWAY,
            Self::Protocol => close_code::PROTOCOL,
            Self::NotText => close_code::INVALID,
            Self::TooLarge => close_code::SIZE,
            Self::Unauthorized => 4401,
            Self::Idle => 4408,
            Self::TooManyRequests | Self::TooManyConnections => 4429,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "the server is shutting down",
            Self::Protocol => "this is not the WebSocket protocol",
            Self::NotText => "text must be UTF-8",
            Self::TooLarge => "the message is too large",
            Self::Unauthorized => "the credential has ended",
            Self::Idle => "nothing was heard for too long",
            Self::TooManyRequests => "there were too many messages",
            Self::TooManyConnections => "there are too many connections",
        }
    }

    /// What is said before, to programs that see no code.
    fn explanation(self) -> Option<Refusal> {
        let (code, detail) = match self {
            Self::Unauthorized => (
                "unauthorized",
                "The credential has ended: come back with another one, and resume with after.",
            ),
            Self::TooManyRequests => {
                ("too_many_requests", "There were too many messages; one can name many monitors.")
            }
            Self::TooManyConnections => {
                ("too_many_connections", "You have too many connections: one can be in many rooms.")
            }
            Self::TooLarge => {
                let detail = format!("A message has at most {MAX_MESSAGE_BYTES} bytes.");
                return Some(Refusal::new("too_large", detail));
            }
            Self::GoingAway | Self::Protocol | Self::NotText | Self::Idle => return None,
        };
        Some(Refusal::new(code, detail))
    }

    /// Says it. Who does not take it finds the connection closed.
    pub(super) async fn say<S, E>(self, socket: &mut S)
    where
        S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
    {
        let close = CloseFrame { code: self.code(), reason: self.reason().into() };
        let goodbye = async {
            if let Some(refusal) = self.explanation() {
                socket.feed(ServerMessage::from(refusal).into()).await?;
            }
            socket.send(Message::Close(Some(close))).await
        };
        if !matches!(timeout(GOODBYE_TIMEOUT, goodbye).await, Ok(Ok(()))) {
            return;
        }
        // What is still on its way here would make the network forget the goodbye.
        let linger = async {
            while let Some(Ok(_)) = socket.next().await {}
            if self == Self::TooLarge {
                std::future::pending::<()>().await;
            }
        };
        let _ = timeout(GOODBYE_TIMEOUT, linger).await;
    }
}

/// Answers the close of a client with the same code (RFC 6455, 5.5.1): the library has the answer ready, and reading
/// on sends it.
pub(super) async fn answer_close<S, E>(socket: &mut S)
where
    S: Stream<Item = Result<Message, E>> + Unpin,
{
    let answer = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = timeout(GOODBYE_TIMEOUT, answer).await;
}
