//! The live feed for those who only listen: `GET /api/v1/live/sse`, Server-Sent Events (WHATWG HTML,
//! section 9.2) over the same hub. Events of monitors have no name, so that `onmessage` gets them, and everything
//! else has the name of its type. Whatever says how far the client has got has that position as its id, also
//! what is said before the first event, so that a client that comes back says `Last-Event-ID` by itself and misses
//! nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use pulsetrail_domain::Position;
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::metrics;
use serde::Deserialize;

use super::LiveHub;
use super::event::LiveEvent;
use super::message::{All, ClientMessage, Named, ServerMessage};
use super::queue::Item;
use super::session::Session;
use super::tickets;
use crate::queries::Parameters;

/// How long a client that was cut off waits before it comes back.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);
/// Tells nginx and those like it not to keep events back (`proxy_buffering`).
const NOT_BUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");
/// When somebody with too many connections may ask for another.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What is listened to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listening {
    /// Ids of monitors, comma-separated, or `all`, which is meant where it is left out.
    monitors: Option<String>,
    /// Everything after this position, too. `Last-Event-ID` is stronger.
    after: Option<i64>,
    #[expect(dead_code, reason = "the extractor of the listener reads it")]
    ticket: Option<String>,
}

/// Listens to the live feed as Server-Sent Events.
#[utoipa::path(
    get,
    path = "/api/v1/live/sse",
    tag = "live",
    operation_id = "listenLive",
    params(
        ("monitors" = Option<String>, Query,
         description = "Ids of monitors, comma-separated, or `all`, which is the default."),
        ("after" = Option<i64>, Query,
         description = "Everything after this position, too; `Last-Event-ID` is stronger.",
         minimum = 0),
        ("ticket" = Option<String>, Query, description = "A ticket, in place of a header."),
    ),
    responses((status = 200, description = "Server-Sent Events. Events of monitors have no name; ids are positions.", content_type = "text/event-stream")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn listen(
    tickets::Listener(identity): tickets::Listener,
    State(hub): State<LiveHub>,
    Parameters(listening): Parameters<Listening>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let after = last_seen(&headers, listening.after)?;
    let subscribe = ClientMessage::Subscribe {
        monitors: match listening.monitors.as_deref() {
            None | Some("all") => Named::All(All::All),
            Some(names) => Named::Some(names.split(',').map(str::to_owned).collect()),
        },
        after,
        more: false,
    };
    hub.started().await;
    let open = hub.inner.connections.token();
    let shutdown = hub.inner.shutdown.clone();
    let Some(pass) = hub.inner.door.enter(&identity) else {
        return Err(Problem::too_many_requests(TRY_AGAIN_AFTER));
    };
    let mut session = Session::new(hub, identity.organization_id, pass);
    let answers = session.answer(subscribe).await.map_err(|refusal| match refusal.code {
        "not_found" => Problem::not_found(),
        "unavailable" => Problem::unavailable(refusal.detail),
        "unknown_position" => Problem::new(StatusCode::BAD_REQUEST, refusal.code, refusal.detail),
        _ => Problem::bad_request(refusal.detail),
    })?;
    let mut waiting: VecDeque<Event> = answers.iter().map(|answer| told(answer, after)).collect();
    if let Some(first) = waiting.pop_front() {
        waiting.push_front(first.retry(COME_BACK_AFTER));
    }
    let pass = session.pass.clone();
    let listener = (Listener { session, waiting }, open);
    let events = stream::unfold(listener, move |(mut listener, open)| {
        let (shutdown, pass) = (shutdown.clone(), pass.clone());
        async move {
            tokio::select! {
                event = listener.next() => Some((Ok::<_, Infallible>(event), (listener, open))),
                // The client asks again, by itself, and finds another server.
                () = shutdown.cancelled() => None,
                () = pass.ended() => None,
            }
        }
    });
    Ok(([NOT_BUFFERED], Sse::new(events).keep_alive(KeepAlive::default())))
}

fn last_seen(headers: &HeaderMap, after: Option<i64>) -> Result<Option<Position>, Problem> {
    let last = match headers.get("last-event-id") {
        None => after,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            Some(id.ok_or_else(|| Problem::bad_request("Last-Event-ID must be a position."))?)
        }
    };
    match last {
        Some(position) if position < 0 => Err(Problem::bad_request("A position is 0 or more.")),
        position => Ok(position.map(Position)),
    }
}

/// A session, and what it has to say next.
struct Listener {
    session: Session,
    waiting: VecDeque<Event>,
}

impl Listener {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                metrics::live_sent(1);
                return event;
            }
            if let Some(page) = self.session.next_page() {
                let (events, replayed) = self.session.take_page(&page.await);
                self.waiting.extend(events.iter().map(|event| happened(event)));
                self.waiting.extend(replayed.iter().map(|message| told(message, None)));
                continue;
            }
            match self.session.queue.next().await {
                Some(item) => {
                    let wanted = self.session.take(item);
                    self.waiting.extend(wanted.map(|item| match item {
                        Item::Event(event) => happened(&event),
                        Item::Watched(watched) => {
                            Event::default().event("presence").data(watched.message.as_str())
                        }
                    }));
                }
                None => {
                    let lagged = self.session.take_end_of_queue();
                    self.waiting.push_back(told(&lagged, None));
                }
            }
        }
    }
}

fn happened(event: &LiveEvent) -> Event {
    Event::default().id(event.position.to_string()).data(event.message.as_str())
}

/// What is no event of a monitor. Everything up to its id was sent, or not asked for: of a subscription that is
/// `after`, where something was asked for.
fn told(message: &ServerMessage, after: Option<Position>) -> Event {
    let (name, id) = match message {
        ServerMessage::Subscribed { position, .. } => {
            ("subscribed", Some(after.unwrap_or(*position)))
        }
        ServerMessage::Replayed { through } => ("replayed", Some(*through)),
        ServerMessage::Lagged { resume_after } => ("lagged", Some(*resume_after)),
        ServerMessage::Presence { .. } => ("presence", None),
        ServerMessage::Pong => ("pong", None),
        ServerMessage::Error { .. } => ("error", None),
    };
    let event = Event::default().event(name).data(message.to_text());
    match id {
        Some(position) => event.id(position.to_string()),
        None => event,
    }
}
