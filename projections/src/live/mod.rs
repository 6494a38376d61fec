//! The live feed: `GET /api/v1/live`, a WebSocket, and `GET /api/v1/live/sse` for those who only listen.
//!
//! One hub of a process follows the log and hands each event, serialized once, to the queues of the
//! connections that are in its room ([`switchboard`]). A queue is bounded, and the hub never waits for
//! one: who is too slow loses the queue, is told so, and reads on from where they stopped, from memory
//! or from the event store ([`replay`]), until a new queue takes over behind it.
//!
//! Who may come in and who must go is the [`door`]'s business; who watches what, over all servers, that
//! of [`presence`].

mod connection;
mod door;
mod event;
mod farewell;
mod memory;
mod message;
mod presence;
mod queue;
mod replay;
mod rooms;
mod session;
pub(crate) mod sse;
mod switchboard;
pub(crate) mod tickets;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use chrono::Utc;
use pulsetrail_domain::Position;
use pulsetrail_infra::awaited::AwaitedChecks;
use pulsetrail_infra::http::{Authenticator, Problem};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{Event, Store, Tail, head};
use pulsetrail_infra::supervised::Supervisor;
use pulsetrail_infra::vitals::Stage;
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::door::Door;
use self::event::LiveEvent;
use self::farewell::Farewell;
use self::memory::Bounds;
use self::session::Session;
use self::switchboard::Switchboard;
use self::tickets::Caller;
use crate::backoff::Backoff;
use crate::queries::Parameters;

/// What a process remembers of the log, to serve those who come back from memory.
const BOUNDS: Bounds = Bounds { events: 50_000, bytes: 48 << 20 };
/// How many events are taken from the log at a time.
const BATCH: i64 = 1_000;
/// The largest message that a client may send, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// How many may ask Postgres something at the same time.
const LOOKUPS: usize = 6;

/// What the live feed allows.
#[derive(Clone, Copy, Debug)]
pub struct LiveLimits {
    /// Connections that a person, or an API key, may have to one server at once.
    pub connections_per_person: NonZeroU32,
}

/// The live feed of a process.
#[derive(Clone)]
pub struct LiveHub {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    authenticator: Authenticator,
    door: Arc<Door>,
    /// How many connections may ask Postgres something at the same time.
    lookups: Semaphore,
    board: Mutex<Switchboard>,
    /// Whether the hub knows where the log stands.
    started: watch::Sender<bool>,
    awaited_checks: AwaitedChecks,
    shutdown: CancellationToken,
    connections: TaskTracker,
}

impl LiveHub {
    /// Starts to follow the log, from its head on, until `shutdown`, which closes every connection. `tasks` owns
    /// the feed's tasks: one that panics is started again, and misses nothing. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(
        store: Store,
        authenticator: Authenticator,
        limits: LiveLimits,
        tasks: &Supervisor,
        shutdown: CancellationToken,
    ) -> Self {
        let hub = Self::at(store, authenticator, limits, shutdown.clone(), Position::START);
        let (feed, door, viewers) = (hub.clone(), hub.clone(), hub.clone());
        tasks.keep_running("live-feed", &shutdown, move || feed.clone().follow());
        tasks.keep_running("live-credentials", &shutdown, move || door.clone().watch_the_door());
        tasks.keep_running("live-presence", &shutdown, move || presence::share(viewers.clone()));
        hub
    }

    /// The checks whose results this hub tells of.
    #[must_use]
    pub fn awaited_checks(&self) -> AwaitedChecks {
        self.inner.awaited_checks.clone()
    }

    /// Ends when every connection is closed, after the shutdown.
    pub async fn drained(&self) {
        self.inner.connections.close();
        self.inner.connections.wait().await;
    }

    fn at(
        store: Store,
        authenticator: Authenticator,
        limits: LiveLimits,
        shutdown: CancellationToken,
        start: Position,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                authenticator,
                door: Arc::new(Door::new(limits.connections_per_person)),
                lookups: Semaphore::new(LOOKUPS),
                board: Mutex::new(Switchboard::new(BOUNDS, start)),
                started: watch::Sender::new(false),
                awaited_checks: AwaitedChecks::default(),
                shutdown,
                connections: TaskTracker::new(),
            }),
        }
    }

    async fn watch_the_door(self) {
        self.inner.door.watch(&self.inner.authenticator, &self.inner.shutdown).await;
    }

    fn board(&self) -> MutexGuard<'_, Switchboard> {
        // Nothing that is done under the lock leaves it half done.
        self.inner.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(self) {
        let shutdown = self.inner.shutdown.clone();
        let mut backoff = Backoff::new();
        let Some(start) = self.begin(&mut backoff).await else { return };
        let mut tail = Tail::new(self.inner.store.read.clone(), start);
        loop {
            let next = tokio::select! {
                next = tail.next_batch(BATCH) => next,
                () = shutdown.cancelled() => return,
            };
            match next {
                Ok(events) => {
                    backoff.reset();
                    self.publish(&events).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the live feed stands still for now");
                    backoff.wait(&shutdown).await;
                }
            }
        }
    }

    /// Where to follow the log from: its head, at first. After a failure it is where the feed stood. None at the
    /// shutdown.
    async fn begin(&self, backoff: &mut Backoff) -> Option<Position> {
        if *self.inner.started.borrow() {
            return Some(self.board().recover(BOUNDS));
        }
        let shutdown = &self.inner.shutdown;
        let start = loop {
            match head(&self.inner.store.read).await {
                Ok(head) => break head,
                Err(error) => {
                    tracing::warn!(%error, "the live feed cannot start yet");
                    backoff.wait(shutdown).await;
                }
            }
            if shutdown.is_cancelled() {
                return None;
            }
        };
        *self.board() = Switchboard::new(BOUNDS, start);
        self.inner.started.send_replace(true);
        Some(start)
    }

    async fn publish(&self, events: &[Event]) {
        let now_ms = Utc::now().timestamp_millis();
        let ages_ms = events.iter().map(|event| now_ms - event.recorded_at.timestamp_millis());
        metrics::stage_passed(Stage::Pushed, events.len(), ages_ms.sum::<i64>() * 1_000);
        for event in events {
            self.inner.awaited_checks.tell(event);
            match LiveEvent::new(event) {
                Some(event) => self.board().publish(Arc::new(event)),
                None => self.board().advance(event.position),
            }
            // With thousands of connections one event is a millisecond's work: let others in.
            tokio::task::consume_budget().await;
        }
    }

    /// Waits until the hub knows where the log stands.
    async fn started(&self) {
        // The sender lives as long as the hub.
        let _ = self.inner.started.subscribe().wait_for(|started| *started).await;
    }
}

/// How a connection is opened.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opening {
    #[expect(dead_code, reason = "the extractor of the caller reads it")]
    ticket: Option<String>,
}

/// Opens the live feed: takes the connection over as a WebSocket.
#[utoipa::path(
    get,
    path = "/api/v1/live",
    tag = "live",
    operation_id = "connectLive",
    params(("ticket" = Option<String>, Query, description = "A ticket, in place of a header.")),
    responses((status = 101, description = "A WebSocket: see the document of the feed.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn connect(
    Caller(identity): Caller,
    State(hub): State<LiveHub>,
    Parameters(_): Parameters<Opening>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let open = hub.inner.connections.token();
    // Buffers are kept small, for there are many connections, most of them idle.
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(4 << 10)
        .write_buffer_size(16 << 10);
    Ok(upgrade.on_upgrade(async move |socket| {
        let shutdown = hub.inner.shutdown.clone();
        let Some(pass) = hub.inner.door.enter(&identity) else {
            let mut socket = socket;
            return Farewell::TooManyConnections.say(&mut socket).await;
        };
        tokio::select! {
            () = hub.started() => {}
            () = shutdown.cancelled() => {}
        }
        let session = Session::new(hub, identity.organization_id, pass);
        connection::serve(socket, session, shutdown).await;
        drop(open);
    }))
}
