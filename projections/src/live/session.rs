//! One connection's subscriptions: what it gets, and how far it has got. It knows no socket.
//!
//! A session sends in two ways, one after the other. While it has a **replay**, it reads the log from
//! `replay.at` to `replay.through`, and its queue waits. Else it sends what comes through its queue,
//! which holds every event of its rooms behind `replay.through`. So there is neither a gap nor a
//! repetition at the seam.
//!
//! Positions only grow, unless a client asks for an earlier one than it was sent: then the session goes back
//! there, and sends in one order what of all rooms was not sent. A client with more monitors than one message
//! can name says that more follow; until then the session sends nothing, and goes back once for all of them.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::head;
use uuid::Uuid;

use super::LiveHub;
use super::door::Pass;
use super::event::LiveEvent;
use super::memory::Page;
use super::message::{ClientMessage, Named, Refusal, Selected, ServerMessage};
use super::queue::{Item, Queue};
use super::replay::Replay;
use super::rooms::{MAX_ROOMS, Rooms};
use super::switchboard::{ConnectionId, MAX_ROOMS_OF_VIEWER};

pub(super) struct Session {
    hub: LiveHub,
    pub(super) pass: Arc<Pass>,
    organization_id: OrganizationId,
    id: ConnectionId,
    pub(super) queue: Queue,
    rooms: Rooms,
    /// Everything up to there was sent, while there is no replay.
    sent: Position,
    replay: Option<Replay>,
    /// The client names more monitors before anything is sent.
    is_held: bool,
}

impl Session {
    pub(super) fn new(hub: LiveHub, organization_id: OrganizationId, pass: Pass) -> Self {
        let mut board = hub.board();
        let (id, queue) = board.connect(organization_id, pass.viewer);
        let sent = board.head();
        metrics::live_connections(board.connections());
        drop(board);
        let (pass, rooms) = (Arc::new(pass), Rooms::default());
        Self { hub, pass, organization_id, id, queue, rooms, sent, replay: None, is_held: false }
    }

    /// What to answer to a message of the client.
    pub(super) async fn handle(&mut self, text: &str) -> Vec<ServerMessage> {
        let answer = match ClientMessage::parse(text) {
            Ok(message) => self.answer(message).await,
            Err(refusal) => Err(refusal),
        };
        answer.unwrap_or_else(|refusal| vec![refusal.into()])
    }

    /// Does what the client asks.
    ///
    /// # Errors
    /// Why it is not done.
    pub(super) async fn answer(
        &mut self,
        message: ClientMessage,
    ) -> Result<Vec<ServerMessage>, Refusal> {
        match message {
            ClientMessage::Subscribe { monitors, after, more } => {
                // Also of one that is refused: nothing waits for it then.
                self.hold(more);
                let selected = self.select(monitors).await?;
                self.require_in_log(after).await?;
                self.subscribe(selected, after)
            }
            ClientMessage::Unsubscribe { monitors } => {
                self.unsubscribe(monitors);
                Ok(Vec::new())
            }
            ClientMessage::Ping {} => Ok(vec![ServerMessage::Pong]),
        }
    }

    /// The monitors that were named, if they are all the organization's.
    async fn select(&self, named: Named) -> Result<Selected, Refusal> {
        let names = match named {
            Named::All(all) => return Ok(Selected::All(all)),
            Named::Some(names) => names,
        };
        if names.len() > MAX_ROOMS {
            return Err(too_many_rooms());
        }
        let mut ids = names
            .iter()
            .map(|name| name.parse::<MonitorId>().map_err(|_| not_found(name)))
            .collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        // The connections to Postgres are everybody's. It is never closed.
        let _permit = self.hub.inner.lookups.acquire().await;
        let found: Vec<Uuid> = sqlx::query_scalar(
            "select monitor_id from monitor_view
             where organization_id = $1 and monitor_id = any($2)",
        )
        .bind(self.organization_id.0)
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(&self.hub.inner.store.read)
        .await
        .map_err(|error| {
            tracing::warn!(%error, "a subscription cannot be checked for now");
            Refusal::new("unavailable", "Monitors cannot be looked up for now; try again.")
        })?;
        let found: HashSet<Uuid> = found.into_iter().collect();
        match ids.iter().find(|id| !found.contains(&id.0)) {
            Some(unknown) => Err(not_found(&unknown.to_string())),
            None => Ok(Selected::Some(ids)),
        }
    }

    /// Refuses a position that the log has not reached. This server may have handed out less than another one.
    async fn require_in_log(&self, after: Option<Position>) -> Result<(), Refusal> {
        let Some(after) = after.filter(|after| *after > self.hub.board().head()) else {
            return Ok(());
        };
        let _permit = self.hub.inner.lookups.acquire().await;
        let newest = head(&self.hub.inner.store.read).await.map_err(|error| {
            tracing::warn!(%error, "the position of a subscription cannot be checked for now");
            Refusal::new("unavailable", "The log cannot be read for now; try again.")
        })?;
        if after > newest {
            let detail =
                format!("The log has no position {after} yet: its newest position is {newest}.");
            return Err(Refusal::new("unknown_position", detail));
        }
        Ok(())
    }

    /// Sends nothing, or goes on.
    fn hold(&mut self, is_held: bool) {
        let goes_on = self.is_held && !is_held;
        self.is_held = is_held;
        // More came meanwhile than the queue holds: it is no fault of the client, and is read on.
        if goes_on && self.replay.is_none() && self.queue.has_ended() {
            self.start_anew();
        }
    }

    fn subscribe(
        &mut self,
        selected: Selected,
        after: Option<Position>,
    ) -> Result<Vec<ServerMessage>, Refusal> {
        let hub = self.hub.clone();
        let mut board = hub.board();
        if !board.has_room(self.pass.viewer, self.rooms.count_new(&selected)) {
            let detail = format!(
                "All your connections to a server can be subscribed to {MAX_ROOMS_OF_VIEWER} monitors \
                 together; subscribe to all instead."
            );
            return Err(Refusal::new("too_many_monitors", detail));
        }
        let position = board.head();
        let first = self.rooms.is_empty();
        if first || (self.replay.is_none() && self.queue.is_empty() && !self.queue.has_ended()) {
            self.sent = position;
        }
        let sent = self.replay.as_ref().map_or(self.sent, |replay| replay.at);
        if let Some(after) = after {
            let mut rooms = self.rooms.clone();
            rooms.sent_through(sent);
            if !rooms.add(&selected, after, true) {
                return Err(too_many_rooms());
            }
            self.rooms = rooms;
        } else if !self.rooms.add(&selected, position, false) {
            return Err(too_many_rooms());
        }
        board.enter(self.id, &selected);
        let subscribed = ServerMessage::Subscribed { monitors: selected, position };
        let Some(after) = after else { return Ok(vec![subscribed]) };
        // Everything begins anew behind the earliest position that is asked for.
        let at = if first { after } else { after.min(sent) };
        (self.queue, self.sent) = board.renew(self.id);
        if at < position {
            self.replay = Some(Replay::new(&self.rooms, at, position));
            return Ok(vec![subscribed]);
        }
        self.replay = None;
        Ok(vec![subscribed, ServerMessage::Replayed { through: after.max(position) }])
    }

    fn unsubscribe(&mut self, named: Named) {
        let selected = match named {
            Named::All(all) => Selected::All(all),
            // What is no id is no room either.
            Named::Some(names) => {
                Selected::Some(names.iter().filter_map(|name| name.parse().ok()).collect())
            }
        };
        let mut board = self.hub.board();
        if matches!(selected, Selected::All(_)) {
            board.leave(self.id, &Selected::Some(self.rooms.named().collect()));
        }
        board.leave(self.id, &selected);
        self.rooms.remove(&selected);
    }

    /// Whether the queue must wait: the log is being read, or nothing is to be sent yet.
    pub(super) fn queue_waits(&self) -> bool {
        self.replay.is_some() || self.is_held
    }

    /// The next page of the replay, if there is one.
    pub(super) fn next_page(&self) -> Option<BoxFuture<'static, Page>> {
        let replay = self.replay.clone().filter(|_| !self.is_held)?;
        Some(replay.next_page(self.hub.clone(), self.organization_id).boxed())
    }

    /// Takes a page of the replay: the events to send, and what to say after them.
    pub(super) fn take_page(
        &mut self,
        page: &Page,
    ) -> (Vec<Arc<LiveEvent>>, Option<ServerMessage>) {
        let events = page.events.iter().filter(|event| self.rooms.want(event)).cloned().collect();
        let Some(replay) = &mut self.replay else { return (events, None) };
        replay.at = page.reached.max(replay.at);
        if replay.at < replay.through {
            return (events, None);
        }
        let through = replay.through;
        self.sent = through;
        self.replay = None;
        // More came meanwhile than the queue holds: it is no fault of the client, and is read on.
        if self.queue.has_ended() {
            self.start_anew();
        }
        let replayed = self.replay.is_none().then_some(ServerMessage::Replayed { through });
        (events, replayed)
    }

    /// Takes what came out of the queue, and gives it back if it is wanted.
    pub(super) fn take(&mut self, item: Item) -> Option<Item> {
        let wanted = match &item {
            Item::Event(event) => {
                self.sent = event.position.max(self.sent);
                self.rooms.want(event)
            }
            Item::Watched(watched) => self.rooms.has(watched.monitor_id),
        };
        wanted.then_some(item)
    }

    /// The queue has ended, for the client was too slow.
    pub(super) fn take_end_of_queue(&mut self) -> ServerMessage {
        metrics::live_lagged();
        let resume_after = self.sent;
        self.start_anew();
        ServerMessage::Lagged { resume_after }
    }

    /// A new queue, and a replay of what lies between what was sent and the queue.
    fn start_anew(&mut self) {
        let (queue, head) = self.hub.board().renew(self.id);
        self.queue = queue;
        if self.sent < head {
            self.replay = Some(Replay::new(&self.rooms, self.sent, head));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut board = self.hub.board();
        board.leave(self.id, &Selected::All(super::message::All::All));
        board.leave(self.id, &Selected::Some(self.rooms.named().collect()));
        board.disconnect(self.id);
        metrics::live_connections(board.connections());
    }
}

fn not_found(name: &str) -> Refusal {
    Refusal::new("not_found", format!("There is no monitor {name}."))
}

fn too_many_rooms() -> Refusal {
    let detail = format!("A connection can be subscribed to at most {MAX_ROOMS} monitors.");
    Refusal::new("too_many_monitors", detail)
}

#[cfg(test)]
pub(super) mod tests;
