//! Which connection gets which event. Everything here happens under one lock, so that a position says
//! exactly what a connection's queue holds: every wanted event behind it, and none up to it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use tokio::sync::mpsc;

use super::event::LiveEvent;
use super::memory::{Bounds, Memory};
use super::message::Selected;

/// Events that wait for one connection at most.
pub(super) const QUEUE: usize = 1_024;

/// One connection of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConnectionId(u64);

/// A connection's queue. It ends when the connection was too slow to empty it.
pub(super) type Queue = mpsc::Receiver<Arc<LiveEvent>>;

#[derive(Debug)]
struct Subscriber {
    organization_id: OrganizationId,
    /// None of one that was too slow: it gets nothing until it asks for a new queue.
    queue: Option<mpsc::Sender<Arc<LiveEvent>>>,
}

#[derive(Debug)]
pub(super) struct Switchboard {
    head: Position,
    pub(super) memory: Memory,
    connections: HashMap<ConnectionId, Subscriber>,
    rooms: HashMap<MonitorId, HashSet<ConnectionId>>,
    /// Who is subscribed to all of an organization's monitors.
    everywhere: HashMap<OrganizationId, HashSet<ConnectionId>>,
    next_id: u64,
}

impl Switchboard {
    /// One that knows of the events after `start`.
    pub(super) fn new(bounds: Bounds, start: Position) -> Self {
        Self {
            head: start,
            memory: Memory::new(bounds, start),
            connections: HashMap::new(),
            rooms: HashMap::new(),
            everywhere: HashMap::new(),
            next_id: 0,
        }
    }

    /// The last event that was handed out.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// A new connection, without rooms.
    pub(super) fn connect(&mut self, organization_id: OrganizationId) -> (ConnectionId, Queue) {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        let (queue, receiver) = mpsc::channel(QUEUE);
        self.connections.insert(id, Subscriber { organization_id, queue: Some(queue) });
        (id, receiver)
    }

    /// An empty queue in place of the old one, for the events after the head, which is returned.
    pub(super) fn renew(&mut self, id: ConnectionId) -> (Queue, Position) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        if let Some(subscriber) = self.connections.get_mut(&id) {
            subscriber.queue = Some(queue);
        }
        (receiver, self.head)
    }

    /// Puts a connection into rooms.
    pub(super) fn enter(&mut self, id: ConnectionId, selected: &Selected) {
        let Some(subscriber) = self.connections.get(&id) else { return };
        match selected {
            Selected::All(_) => {
                self.everywhere.entry(subscriber.organization_id).or_default().insert(id);
            }
            Selected::Some(monitors) => {
                for monitor in monitors {
                    self.rooms.entry(*monitor).or_default().insert(id);
                }
            }
        }
    }

    /// Takes a connection out of rooms.
    pub(super) fn leave(&mut self, id: ConnectionId, selected: &Selected) {
        let Some(subscriber) = self.connections.get(&id) else { return };
        match selected {
            Selected::All(_) => leave(&mut self.everywhere, subscriber.organization_id, id),
            Selected::Some(monitors) => {
                for monitor in monitors {
                    leave(&mut self.rooms, *monitor, id);
                }
            }
        }
    }

    /// Ends a connection that has left its rooms.
    pub(super) fn disconnect(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Hands the next event to whom it concerns. It never waits: who has no room in the queue loses it.
    pub(super) fn publish(&mut self, event: Arc<LiveEvent>) {
        self.head = event.position;
        let in_room = self.rooms.get(&event.monitor_id);
        let everywhere = self.everywhere.get(&event.organization_id);
        let once = in_room
            .into_iter()
            .flatten()
            .filter(|id| everywhere.is_none_or(|everywhere| !everywhere.contains(id)));
        for id in everywhere.into_iter().flatten().chain(once) {
            let Some(subscriber) = self.connections.get_mut(id) else { continue };
            let Some(queue) = &subscriber.queue else { continue };
            if subscriber.organization_id != event.organization_id {
                continue;
            }
            if queue.try_send(Arc::clone(&event)).is_err() {
                subscriber.queue = None;
            }
        }
        self.memory.push(event);
    }

    /// Everything up to `position` was handed out.
    pub(super) fn advance(&mut self, position: Position) {
        self.head = position.max(self.head);
    }
}

fn leave<K: std::hash::Hash + Eq>(
    rooms: &mut HashMap<K, HashSet<ConnectionId>>,
    room: K,
    id: ConnectionId,
) {
    if let Some(inside) = rooms.get_mut(&room) {
        inside.remove(&id);
        if inside.is_empty() {
            rooms.remove(&room);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::event::tests::live;
    use super::super::message::All;
    use super::*;

    const ALL: Selected = Selected::All(All::All);

    fn switchboard() -> Switchboard {
        Switchboard::new(Bounds { events: 10_000, bytes: usize::MAX }, Position(0))
    }

    fn organization(seed: u128) -> OrganizationId {
        OrganizationId(Uuid::from_u128(seed))
    }

    fn room(seed: u128) -> Selected {
        Selected::Some(vec![MonitorId(Uuid::from_u128(seed))])
    }

    fn positions(queue: &mut Queue) -> Vec<i64> {
        std::iter::from_fn(|| queue.try_recv().ok()).map(|event| event.position.0).collect()
    }

    #[test]
    fn an_event_goes_once_to_everyone_in_its_room_and_to_nobody_else() {
        let mut board = switchboard();
        let (one, mut in_room) = board.connect(organization(1));
        let (both, mut everywhere) = board.connect(organization(1));
        let (foreign, mut other_tenant) = board.connect(organization(2));
        board.enter(one, &room(7));
        board.enter(both, &ALL);
        board.enter(both, &room(7));
        // The connection makes sure that this cannot be; the switchboard trusts nobody.
        board.enter(foreign, &room(7));
        board.enter(foreign, &ALL);
        board.publish(Arc::new(live(1, 1, 7)));
        board.publish(Arc::new(live(2, 1, 8)));
        assert_eq!(positions(&mut in_room), [1]);
        assert_eq!(positions(&mut everywhere), [1, 2]);
        assert!(positions(&mut other_tenant).is_empty());
        board.leave(one, &room(7));
        board.publish(Arc::new(live(3, 1, 7)));
        assert!(positions(&mut in_room).is_empty());
    }

    #[test]
    fn a_full_queue_ends_and_holds_up_nobody() {
        let mut board = switchboard();
        let (slow, mut full) = board.connect(organization(1));
        let (quick, mut emptied) = board.connect(organization(1));
        board.enter(slow, &ALL);
        board.enter(quick, &ALL);
        let count = QUEUE as i64 + 10;
        let mut received = Vec::new();
        for position in 1..=count {
            board.publish(Arc::new(live(position, 1, 7)));
            received.extend(positions(&mut emptied));
        }
        assert_eq!(received, (1..=count).collect::<Vec<_>>());
        assert_eq!(positions(&mut full), (1..=QUEUE as i64).collect::<Vec<_>>());
        assert!(full.is_closed());
        let (mut renewed, head) = board.renew(slow);
        assert_eq!(head, Position(count));
        board.publish(Arc::new(live(count + 1, 1, 7)));
        assert_eq!(positions(&mut renewed), [count + 1]);
    }
}
