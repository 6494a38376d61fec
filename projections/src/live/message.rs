//! What a connection and its client say to each other, besides events.

use axum::extract::ws::{Message, Utf8Bytes};
use pulsetrail_domain::{MonitorId, Position};
use serde::{Deserialize, Serialize};

/// What a client asks.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ClientMessage {
    Subscribe {
        monitors: Named,
        /// Everything after this position, too.
        #[serde(default)]
        after: Option<Position>,
        /// More monitors are named in the next message: nothing is sent until a message without this, so that
        /// the events of all of them come in one order.
        #[serde(default)]
        more: bool,
    },
    Unsubscribe {
        monitors: Named,
    },
    Ping {},
}

/// Monitors as a client names them.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Named {
    All(All),
    Some(Vec<String>),
}

/// The word `all`: the organization's monitors, also those that are registered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum All {
    All,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage {
    /// Events after `position` follow, as they come.
    Subscribed {
        monitors: Selected,
        position: Position,
    },
    /// Everything up to there that was asked for with `after`, or missed, has been sent.
    Replayed {
        through: Position,
    },
    /// The client was too slow. What came after is read again and follows.
    Lagged {
        resume_after: Position,
    },
    /// So many people watch a monitor.
    Presence {
        monitor_id: MonitorId,
        viewers: u64,
    },
    Pong,
    Error {
        code: &'static str,
        detail: String,
    },
}

/// Monitors that were subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Selected {
    All(All),
    Some(Vec<MonitorId>),
}

/// Why a request was refused. The connection stays.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<Refusal> for ServerMessage {
    fn from(Refusal { code, detail }: Refusal) -> Self {
        Self::Error { code, detail }
    }
}

impl ServerMessage {
    pub(super) fn to_text(&self) -> String {
        // It holds nothing that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<ServerMessage> for Message {
    fn from(message: ServerMessage) -> Self {
        Self::Text(Utf8Bytes::from(message.to_text()))
    }
}

impl ClientMessage {
    /// What a text says.
    ///
    /// # Errors
    /// `malformed`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let message: Self = serde_json::from_str(text).map_err(|error| {
            Refusal::new("malformed", format!("The message is not understood: {error}."))
        })?;
        match message {
            Self::Subscribe { after: Some(after), .. } if after < Position::START => {
                Err(Refusal::new("malformed", "after must be a position: 0 or more."))
            }
            message => Ok(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_understood() {
        let parse = |value: serde_json::Value| ClientMessage::parse(&value.to_string()).unwrap();
        let all = parse(json!({"type": "subscribe", "monitors": "all", "after": 5}));
        let after = Some(Position(5));
        let monitors = Named::All(All::All);
        assert_eq!(all, ClientMessage::Subscribe { monitors, after, more: false });
        let more = parse(json!({"type": "subscribe", "monitors": ["a"], "more": true}));
        let monitors = Named::Some(vec!["a".to_owned()]);
        assert_eq!(more, ClientMessage::Subscribe { monitors, after: None, more: true });
        let some = parse(json!({"type": "unsubscribe", "monitors": ["a"]}));
        let monitors = Named::Some(vec!["a".to_owned()]);
        assert_eq!(some, ClientMessage::Unsubscribe { monitors });
        assert_eq!(parse(json!({"type": "ping"})), ClientMessage::Ping {});
    }

    #[test]
    fn what_is_not_understood_is_malformed() {
        let texts = [
            "",
            "[]",
            r#"{"type":"shout"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","monitors":"some"}"#,
            r#"{"type":"subscribe","monitors":[1]}"#,
            r#"{"type":"subscribe","monitors":"all","after":-1}"#,
            r#"{"type":"subscribe","monitors":"all","since":1}"#,
            r#"{"type":"subscribe","monitors":"all","more":1}"#,
        ];
        for text in texts {
            assert_eq!(ClientMessage::parse(text).unwrap_err().code, "malformed", "{text}");
        }
    }

    #[test]
    fn answers_name_their_type() {
        let text = |message: ServerMessage| match Message::from(message) {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("{other:?} is no text"),
        };
        let subscribed =
            ServerMessage::Subscribed { monitors: Selected::All(All::All), position: Position(3) };
        assert_eq!(text(subscribed), r#"{"type":"subscribed","monitors":"all","position":3}"#);
        assert_eq!(text(ServerMessage::Pong), r#"{"type":"pong"}"#);
        let lagged = ServerMessage::Lagged { resume_after: Position(9) };
        assert_eq!(text(lagged), r#"{"type":"lagged","resume_after":9}"#);
    }
}
