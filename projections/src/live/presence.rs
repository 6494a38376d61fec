//! Who watches a monitor: people, not tabs. A person counts once, however many connections they have;
//! an API key is one viewer.
//!
//! Here is what this process knows by itself, and whom it has to tell what; [`shared`] puts it together
//! with what the other servers know.

mod shared;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use pulsetrail_domain::MonitorId;
use pulsetrail_infra::http::{Credential, Identity};
use tokio::time::Instant;
use uuid::Uuid;

use super::message::ServerMessage;
use super::switchboard::ConnectionId;

pub(super) use shared::share;

/// In so many rooms a connection counts at most: the ones that it entered first. Whoever is in more, or
/// in all, looks at a list and not at a monitor.
pub(super) const COUNTED_ROOMS: usize = 100;
/// The shortest time between two counts of a room.
const COUNT_EVERY: Duration = Duration::from_millis(200);
/// How much longer that is for each connection in the room, so that a crowd that comes and goes costs
/// no more than 2,000 messages a second: 5 s where there are 10,000.
const LONGER_FOR_EACH: Duration = Duration::from_micros(500);

/// A person, or a program with a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Viewer(pub(super) Uuid);

impl From<&Identity> for Viewer {
    fn from(identity: &Identity) -> Self {
        match identity.credential {
            Credential::Session(_) => Self(identity.user_id.0),
            Credential::ApiKey(id) => Self(id.0),
        }
    }
}

/// How many watch a monitor, as its subscribers are told.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) monitor_id: MonitorId,
    /// The whole message.
    pub(super) message: Utf8Bytes,
}

impl Watched {
    pub(super) fn new(monitor_id: MonitorId, viewers: u64) -> Self {
        let message = ServerMessage::Presence { monitor_id, viewers }.to_text().into();
        Self { monitor_id, message }
    }
}

/// Who is in the rooms of this process.
#[derive(Debug, Default)]
pub(super) struct Presence {
    rooms: HashMap<MonitorId, Room>,
    /// Who came and who went since the others were told: whether they are there now.
    changes: HashMap<(MonitorId, Viewer), bool>,
    /// Rooms whose count may not be right any more.
    to_count: HashSet<MonitorId>,
}

#[derive(Debug)]
struct Room {
    /// How many connections each viewer has.
    viewers: HashMap<Viewer, usize>,
    connections: HashSet<ConnectionId>,
    /// Those that are to be told although nothing has changed.
    newcomers: HashSet<ConnectionId>,
    told: Option<u64>,
    /// When it may be counted again.
    due: Instant,
}

impl Room {
    fn new(now: Instant) -> Self {
        Self {
            viewers: HashMap::new(),
            connections: HashSet::new(),
            newcomers: HashSet::new(),
            told: None,
            due: now,
        }
    }
}

impl Presence {
    /// Somebody's connection is in a room.
    pub(super) fn enter(&mut self, monitor: MonitorId, id: ConnectionId, viewer: Viewer) {
        let room = self.rooms.entry(monitor).or_insert_with(|| Room::new(Instant::now()));
        if room.connections.insert(id) {
            let connections = room.viewers.entry(viewer).or_default();
            *connections += 1;
            if *connections == 1 {
                self.changes.insert((monitor, viewer), true);
            }
        }
        self.greet(monitor, id);
    }

    /// Tells a connection the count of a room that it is in, although it may not have changed.
    pub(super) fn greet(&mut self, monitor: MonitorId, id: ConnectionId) {
        if let Some(room) = self.rooms.get_mut(&monitor) {
            room.newcomers.insert(id);
            self.to_count.insert(monitor);
        }
    }

    /// Somebody's connection has left a room.
    pub(super) fn leave(&mut self, monitor: MonitorId, id: ConnectionId, viewer: Viewer) {
        let Some(room) = self.rooms.get_mut(&monitor) else { return };
        if !room.connections.remove(&id) {
            return;
        }
        room.newcomers.remove(&id);
        if let Some(connections) = room.viewers.get_mut(&viewer) {
            *connections -= 1;
            if *connections == 0 {
                room.viewers.remove(&viewer);
                self.changes.insert((monitor, viewer), false);
            }
        }
        if room.connections.is_empty() {
            self.rooms.remove(&monitor);
            self.to_count.remove(&monitor);
        }
    }

    /// What the others do not know yet: who came (true) and who went, in which room.
    fn take_changes(&mut self) -> Vec<(MonitorId, Viewer, bool)> {
        let changes = self.changes.drain();
        changes.map(|((monitor, viewer), here)| (monitor, viewer, here)).collect()
    }

    /// Everybody who is there. The others are told all of it.
    fn everybody(&mut self) -> Vec<(MonitorId, Viewer)> {
        self.changes.clear();
        let rooms = self.rooms.iter();
        rooms.flat_map(|(id, room)| room.viewers.keys().map(|viewer| (*id, *viewer))).collect()
    }

    /// Something has changed in a room, here or at another server.
    fn changed(&mut self, monitor: MonitorId) {
        if self.rooms.contains_key(&monitor) {
            self.to_count.insert(monitor);
        }
    }

    /// Something may have changed anywhere.
    fn all_changed(&mut self) {
        self.to_count.extend(self.rooms.keys());
    }

    /// The rooms that are to be counted now.
    fn take_due(&mut self, now: Instant) -> Vec<MonitorId> {
        let due = |monitor: &MonitorId| self.rooms.get(monitor).is_some_and(|room| room.due <= now);
        self.to_count.extract_if(due).collect()
    }

    /// A room was counted: who is to be told.
    pub(super) fn counted(&mut self, monitor: MonitorId, viewers: u64) -> Vec<ConnectionId> {
        let Some(room) = self.rooms.get_mut(&monitor) else { return Vec::new() };
        let crowd = u32::try_from(room.connections.len()).unwrap_or(u32::MAX);
        room.due = Instant::now() + COUNT_EVERY + LONGER_FOR_EACH * crowd;
        let newcomers = std::mem::take(&mut room.newcomers);
        if room.told.replace(viewers) == Some(viewers) {
            newcomers.into_iter().collect()
        } else {
            room.connections.iter().copied().collect()
        }
    }
}

#[cfg(test)]
mod tests;
