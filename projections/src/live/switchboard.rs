//! Which connection gets which event. Everything here happens under one lock, so that a position says
//! exactly what a connection's queue holds: every wanted event behind it, and none up to it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pulsetrail_domain::{MonitorId, OrganizationId, Position};

use super::event::LiveEvent;
use super::memory::{Bounds, Memory};
use super::message::Selected;
use super::presence::{COUNTED_ROOMS, Presence, Viewer, Watched};
use super::queue::{Feeder, Item, Queue, queue};

/// Named rooms of all connections of a viewer to this process at most.
pub(super) const MAX_ROOMS_OF_VIEWER: usize = 100_000;

/// One connection of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

#[derive(Debug)]
struct Subscriber {
    organization_id: OrganizationId,
    viewer: Viewer,
    /// None of one that was too slow: it gets nothing until it asks for a new queue.
    feeder: Option<Feeder>,
    /// The rooms that it counts in.
    counted: HashSet<MonitorId>,
}

#[derive(Debug)]
pub(super) struct Switchboard {
    head: Position,
    pub(super) memory: Memory,
    pub(super) presence: Presence,
    connections: HashMap<ConnectionId, Subscriber>,
    rooms: HashMap<MonitorId, HashSet<ConnectionId>>,
    /// Who is subscribed to all of an organization's monitors.
    everywhere: HashMap<OrganizationId, HashSet<ConnectionId>>,
    /// How many named rooms the connections of a viewer are in, all together.
    named: HashMap<Viewer, usize>,
    next_id: u64,
}

impl Switchboard {
    /// One that knows of the events after `start`.
    pub(super) fn new(bounds: Bounds, start: Position) -> Self {
        Self {
            head: start,
            memory: Memory::new(bounds, start),
            presence: Presence::default(),
            connections: HashMap::new(),
            rooms: HashMap::new(),
            everywhere: HashMap::new(),
            named: HashMap::new(),
            next_id: 0,
        }
    }

    /// Goes on after a failure that may have happened while an event was handed out: the position to go on from. Every
    /// queue ends and nothing is remembered, so that each connection reads from the store what it has not sent.
    pub(super) fn recover(&mut self, bounds: Bounds) -> Position {
        self.memory = Memory::new(bounds, self.head);
        for subscriber in self.connections.values_mut() {
            subscriber.feeder = None;
        }
        self.head
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
    pub(super) fn connect(
        &mut self,
        organization_id: OrganizationId,
        viewer: Viewer,
    ) -> (ConnectionId, Queue) {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        let (feeder, queue) = queue();
        let (feeder, counted) = (Some(feeder), HashSet::new());
        self.connections.insert(id, Subscriber { organization_id, viewer, feeder, counted });
        (id, queue)
    }

    /// An empty queue in place of the old one, for the events after the head, which is returned.
    pub(super) fn renew(&mut self, id: ConnectionId) -> (Queue, Position) {
        let (feeder, queue) = queue();
        if let Some(subscriber) = self.connections.get_mut(&id) {
            subscriber.feeder = Some(feeder);
            for monitor in &subscriber.counted {
                self.presence.greet(*monitor, id);
            }
        }
        (queue, self.head)
    }

    /// Whether the connections of a viewer may be in so many more rooms.
    pub(super) fn has_room(&self, viewer: Viewer, more: usize) -> bool {
        self.named.get(&viewer).copied().unwrap_or_default() + more <= MAX_ROOMS_OF_VIEWER
    }

    /// Puts a connection into rooms.
    pub(super) fn enter(&mut self, id: ConnectionId, selected: &Selected) {
        let Some(subscriber) = self.connections.get_mut(&id) else { return };
        match selected {
            Selected::All(_) => {
                self.everywhere.entry(subscriber.organization_id).or_default().insert(id);
            }
            Selected::Some(monitors) => {
                for monitor in monitors {
                    if self.rooms.entry(*monitor).or_default().insert(id) {
                        *self.named.entry(subscriber.viewer).or_default() += 1;
                    }
                    if subscriber.counted.len() < COUNTED_ROOMS
                        || subscriber.counted.contains(monitor)
                    {
                        subscriber.counted.insert(*monitor);
                        self.presence.enter(*monitor, id, subscriber.viewer);
                    }
                }
            }
        }
    }

    /// Takes a connection out of rooms.
    pub(super) fn leave(&mut self, id: ConnectionId, selected: &Selected) {
        let Some(subscriber) = self.connections.get_mut(&id) else { return };
        match selected {
            Selected::All(_) => {
                leave(&mut self.everywhere, subscriber.organization_id, id);
            }
            Selected::Some(monitors) => {
                for monitor in monitors {
                    if leave(&mut self.rooms, *monitor, id)
                        && let Entry::Occupied(mut named) = self.named.entry(subscriber.viewer)
                    {
                        *named.get_mut() -= 1;
                        if *named.get() == 0 {
                            named.remove();
                        }
                    }
                    if subscriber.counted.remove(monitor) {
                        self.presence.leave(*monitor, id, subscriber.viewer);
                    }
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
            let Some(feeder) = &subscriber.feeder else { continue };
            if subscriber.organization_id != event.organization_id {
                continue;
            }
            if feeder.put(Item::Event(Arc::clone(&event))).is_err() {
                subscriber.feeder = None;
            }
        }
        self.memory.push(event);
    }

    /// A room's viewers were counted: tells those in it who do not know.
    pub(super) fn tell_viewers(&mut self, monitor: MonitorId, viewers: u64) {
        let to_tell = self.presence.counted(monitor, viewers);
        if to_tell.is_empty() {
            return;
        }
        let watched = Arc::new(Watched::new(monitor, viewers));
        for id in to_tell {
            let feeder = self.connections.get(&id).and_then(|one| one.feeder.as_ref());
            let told = feeder.map(|feeder| feeder.put(Item::Watched(Arc::clone(&watched))));
            if let Some(Err(_full)) = told {
                self.presence.greet(monitor, id);
            }
        }
    }

    /// Everything up to `position` was handed out.
    pub(super) fn advance(&mut self, position: Position) {
        self.head = position.max(self.head);
    }
}

/// Takes a connection out of a room; false where it was not in it.
fn leave<K: std::hash::Hash + Eq>(
    rooms: &mut HashMap<K, HashSet<ConnectionId>>,
    room: K,
    id: ConnectionId,
) -> bool {
    let Some(inside) = rooms.get_mut(&room) else { return false };
    let was_inside = inside.remove(&id);
    if inside.is_empty() {
        rooms.remove(&room);
    }
    was_inside
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::event::tests::live;
    use super::super::message::All;
    use super::super::queue::QUEUE;
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
        let items = std::iter::from_fn(|| queue.next_now());
        items.filter_map(|item| position_of(&item)).collect()
    }

    fn position_of(item: &Item) -> Option<i64> {
        match item {
            Item::Event(event) => Some(event.position.0),
            Item::Watched(_) => None,
        }
    }

    fn connect(board: &mut Switchboard, seed: u128) -> (ConnectionId, Queue) {
        board.connect(organization(seed), Viewer(Uuid::from_u128(seed)))
    }

    #[tokio::test]
    async fn an_event_goes_once_to_everyone_in_its_room_and_to_nobody_else() {
        let mut board = switchboard();
        let (one, mut in_room) = connect(&mut board, 1);
        let (both, mut everywhere) = connect(&mut board, 1);
        let (foreign, mut other_tenant) = connect(&mut board, 2);
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

    #[tokio::test]
    async fn a_full_queue_ends_and_holds_up_nobody() {
        let mut board = switchboard();
        let (slow, mut full) = connect(&mut board, 1);
        let (quick, mut emptied) = connect(&mut board, 1);
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
        assert!(full.has_ended());
        let (mut renewed, head) = board.renew(slow);
        assert_eq!(head, Position(count));
        board.publish(Arc::new(live(count + 1, 1, 7)));
        assert_eq!(positions(&mut renewed), [count + 1]);
    }

    #[tokio::test]
    async fn after_a_failure_connections_read_from_the_store_what_may_not_have_been_handed_out() {
        let mut board = switchboard();
        let (id, mut queue) = connect(&mut board, 1);
        board.enter(id, &ALL);
        board.publish(Arc::new(live(1, 1, 7)));
        // The second one failed half-way: it is counted as handed out.
        board.advance(Position(2));
        let bounds = Bounds { events: 10, bytes: usize::MAX };
        assert_eq!(board.recover(bounds), Position(2));
        assert_eq!(positions(&mut queue), [1]);
        assert!(queue.has_ended());
        let in_memory = board.memory.page(organization(1), Position(1), Position(2), 9);
        assert!(in_memory.is_none(), "it is looked up");
        let (mut renewed, head) = board.renew(id);
        assert_eq!(head, Position(2));
        board.publish(Arc::new(live(3, 1, 7)));
        assert_eq!(positions(&mut renewed), [3]);
    }

    #[tokio::test]
    async fn a_connection_counts_in_a_hundred_rooms_and_no_more() {
        let mut board = switchboard();
        let (id, mut queue) = connect(&mut board, 1);
        let many = (0..=COUNTED_ROOMS as u128).map(|seed| MonitorId(Uuid::from_u128(seed)));
        board.enter(id, &Selected::Some(many.collect()));
        let told = |board: &mut Switchboard, queue: &mut Queue, seed: u128| {
            board.tell_viewers(MonitorId(Uuid::from_u128(seed)), 3);
            queue.next_now().is_some()
        };
        assert!(told(&mut board, &mut queue, 0) && told(&mut board, &mut queue, 99));
        assert!(!told(&mut board, &mut queue, 100));
        board.leave(id, &room(0));
        assert!(!told(&mut board, &mut queue, 0));
        board.enter(id, &room(100));
        assert!(told(&mut board, &mut queue, 100));
    }

    #[tokio::test]
    async fn all_connections_of_a_viewer_are_in_so_many_rooms_and_no_more() {
        let mut board = switchboard();
        let viewer = Viewer(Uuid::from_u128(1));
        let half: Vec<MonitorId> = (0..MAX_ROOMS_OF_VIEWER as u128 / 2)
            .map(|seed| MonitorId(Uuid::from_u128(seed)))
            .collect();
        let half = Selected::Some(half);
        let (one, _queue) = connect(&mut board, 1);
        let (other, _queue) = connect(&mut board, 1);
        for id in [one, other] {
            assert!(board.has_room(viewer, 1));
            board.enter(id, &half);
        }
        // Twice is once.
        board.enter(other, &half);
        assert!(board.has_room(viewer, 0) && !board.has_room(viewer, 1));
        assert!(board.has_room(Viewer(Uuid::from_u128(2)), MAX_ROOMS_OF_VIEWER));
        board.leave(other, &room(0));
        board.leave(other, &room(0));
        assert!(board.has_room(viewer, 1) && !board.has_room(viewer, 2));
        board.leave(one, &half);
        board.leave(other, &half);
        assert!(board.named.is_empty() && board.rooms.is_empty());
    }
}
