//! `pulsetrail watch`: the live feed on the command line.
//!
//! It comes back by itself after whatever cuts it off, with the position of the last event that it has
//! shown, so that none is skipped and none is shown twice.

mod line;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use pulsetrail_infra::settings::Settings;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use url::Url;
use uuid::Uuid;

/// What is watched, and how it is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The ids of monitors; all of the organization's where none is named.
    monitors: Vec<Uuid>,
    /// Show everything after this position first; 0 is everything there is.
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
    /// A JSON object a line, also on a terminal.
    #[arg(long)]
    json: bool,
    /// The interface, in place of PULSETRAIL_URL.
    #[arg(long)]
    url: Option<Url>,
}

/// How long it waits before it comes back: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The server says something every 20 s, if only a ping: without a word for so long it is gone.
const SILENT_FOR: Duration = Duration::from_secs(50);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Monitors that one message names.
const NAMES_IN_ONE: usize = 1_000;

/// Shows events until the output is closed or the process is told to stop.
pub(crate) async fn run(settings: &Settings, asked: Watch) -> anyhow::Result<()> {
    let Some(token) = &settings.token else {
        bail!("PULSETRAIL_TOKEN must be set: an access token or an API key");
    };
    let Some(url) = asked.url.as_ref().or(settings.url.as_ref()) else {
        bail!("PULSETRAIL_URL must be set, or --url");
    };
    let mut watcher = Watcher {
        address: address(url)?,
        token: HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .context("PULSETRAIL_TOKEN")?,
        cursor: asked.after,
        json: asked.json || !io::stdout().is_terminal(),
        colour: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        monitors: asked.monitors,
    };
    tokio::select! {
        watched = watcher.watch() => watched,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Where the feed is, from where the interface is.
fn address(url: &Url) -> anyhow::Result<Url> {
    let mut address = url.join("/api/v1/live").context("PULSETRAIL_URL")?;
    let scheme = match url.scheme() {
        "http" => "ws",
        "https" => "wss",
        other => bail!("PULSETRAIL_URL: {other} is neither http nor https"),
    };
    if address.set_scheme(scheme).is_err() {
        bail!("PULSETRAIL_URL: {url} is not the address of an interface");
    }
    Ok(address)
}

struct Watcher {
    address: Url,
    token: HeaderValue,
    monitors: Vec<Uuid>,
    /// Everything up to there was shown; none before the first connection.
    cursor: Option<u64>,
    json: bool,
    colour: bool,
}

/// Why a connection is over.
enum Over {
    /// It is worth coming back.
    Cut(String),
    /// Nobody reads what is shown any more.
    Closed,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Watcher {
    async fn watch(&mut self) -> anyhow::Result<()> {
        let mut wait = FIRST_WAIT;
        loop {
            let before = self.cursor;
            let why = match self.connect().await? {
                Ok(socket) => match self.show(socket).await? {
                    Over::Closed => return Ok(()),
                    Over::Cut(why) => why,
                },
                Err(why) => why,
            };
            // For people; what is read by programs is on the other stream.
            eprintln!("pulsetrail: {why}; coming back");
            if self.cursor != before {
                wait = FIRST_WAIT;
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// A connection, or why there is none for now; an error where there will never be one.
    async fn connect(&self) -> anyhow::Result<Result<Socket, String>> {
        let mut request = self.address.as_str().into_client_request().context("PULSETRAIL_URL")?;
        request.headers_mut().insert(header::AUTHORIZATION, self.token.clone());
        match timeout(CONNECT_TIMEOUT, connect_async(request)).await {
            Ok(Ok((socket, _))) => Ok(Ok(socket)),
            Ok(Err(Error::Http(response))) => match response.status().as_u16() {
                401 => bail!("the token in PULSETRAIL_TOKEN is not good, or not any more"),
                status @ (429 | 500..) => Ok(Err(format!("the server answers {status}"))),
                status => bail!("{} answers {status}: is it a Pulsetrail?", self.address),
            },
            Ok(Err(error)) => Ok(Err(error.to_string())),
            Err(_) => Ok(Err("the server does not answer".to_owned())),
        }
    }

    /// What is asked for on a new connection. Where one message cannot name all monitors, each but the last says
    /// that more follow: the events of all of them then come in one order, of which the cursor is the end.
    fn subscriptions(&self) -> Vec<Value> {
        let subscribe = |monitors: Value| {
            let mut message = json!({"type": "subscribe", "monitors": monitors});
            if let Some(after) = self.cursor {
                message["after"] = after.into();
            }
            message
        };
        if self.monitors.is_empty() {
            return vec![subscribe(json!("all"))];
        }
        let mut messages: Vec<Value> =
            self.monitors.chunks(NAMES_IN_ONE).map(|some| subscribe(json!(some))).collect();
        if let Some((_last, others)) = messages.split_last_mut() {
            others.iter_mut().for_each(|message| message["more"] = true.into());
        }
        messages
    }

    async fn show(&mut self, mut socket: Socket) -> anyhow::Result<Over> {
        for subscription in self.subscriptions() {
            if let Err(error) = socket.send(Message::text(subscription.to_string())).await {
                return Ok(Over::Cut(error.to_string()));
            }
        }
        loop {
            let text = match timeout(SILENT_FOR, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => text,
                Ok(Some(Ok(Message::Close(close)))) => {
                    let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
                    return Ok(Over::Cut(format!("the server closed the connection: {reason}")));
                }
                Ok(Some(Ok(_))) => continue,
                Ok(Some(Err(error))) => return Ok(Over::Cut(error.to_string())),
                Ok(None) => return Ok(Over::Cut("the connection ended".to_owned())),
                Err(_) => return Ok(Over::Cut("the server says nothing any more".to_owned())),
            };
            let message: Value = serde_json::from_str(&text).context("what the server says")?;
            if let Some(over) = self.take(&text, &message)? {
                return Ok(over);
            }
        }
    }

    /// Does with a message what is to be done.
    fn take(&mut self, text: &str, message: &Value) -> anyhow::Result<Option<Over>> {
        let position = message["position"].as_u64();
        match message["type"].as_str() {
            Some("subscribed") => {
                // Several messages may have asked: from the first of them on nothing is missed.
                self.cursor = self.cursor.or(position);
            }
            Some("event") if position > self.cursor => {
                let line = if self.json { text.to_owned() } else { line::of(message, self.colour) };
                match writeln!(io::stdout().lock(), "{line}") {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                        return Ok(Some(Over::Closed));
                    }
                    written => written.context("the output")?,
                }
                self.cursor = position;
            }
            Some("error") => match message["code"].as_str() {
                Some("not_found" | "malformed" | "too_many_monitors" | "unknown_position") => {
                    bail!("{}", message["detail"].as_str().unwrap_or_default());
                }
                _ => {
                    let detail = message["detail"].as_str().unwrap_or_default();
                    return Ok(Some(Over::Cut(detail.trim_end_matches('.').to_owned())));
                }
            },
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_that_one_message_cannot_name_are_asked_for_together() {
        let watcher = |monitors: usize| Watcher {
            address: "ws://127.0.0.1/".parse().unwrap(),
            token: HeaderValue::from_static("Bearer"),
            monitors: (0..monitors as u128).map(Uuid::from_u128).collect(),
            cursor: Some(7),
            json: true,
            colour: false,
        };
        let more = |messages: &[Value]| -> Vec<bool> {
            messages.iter().map(|message| message["more"] == true).collect()
        };
        let messages = watcher(2_500).subscriptions();
        assert_eq!(more(&messages), [true, true, false]);
        assert!(messages.iter().all(|message| message["after"] == 7));
        let named = messages.iter().map(|message| message["monitors"].as_array().unwrap().len());
        assert_eq!(named.collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert_eq!(more(&watcher(1_000).subscriptions()), [false]);
        assert_eq!(watcher(0).subscriptions()[0]["monitors"], "all");
    }

    #[test]
    fn the_feed_is_where_the_interface_is() {
        let of = |url: &str| address(&url.parse().unwrap()).map(String::from);
        assert_eq!(of("http://127.0.0.1:8080").unwrap(), "ws://127.0.0.1:8080/api/v1/live");
        assert_eq!(of("https://status.test/").unwrap(), "wss://status.test/api/v1/live");
        assert!(of("ftp://status.test").is_err());
    }
}
