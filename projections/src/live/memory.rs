//! The recent events of every organization, bounded in all.
//!
//! An organization's memory reaches back to its **floor**: every event of its monitors behind the
//! floor is there. A quiet organization's floor does not move because others are busy.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use pulsetrail_domain::{OrganizationId, Position};

use super::event::LiveEvent;

/// The bounds of a memory: the oldest events of all organizations together are forgotten first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Memory {
    bounds: Bounds,
    /// Where the memory begins: the floor of an organization that is not in it.
    start: Position,
    organizations: HashMap<OrganizationId, Recent>,
    /// Whose each event is, oldest first.
    order: VecDeque<OrganizationId>,
    bytes: usize,
}

#[derive(Debug)]
struct Recent {
    floor: Position,
    events: VecDeque<Arc<LiveEvent>>,
}

/// Events in order, and how far they reach.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) events: Vec<Arc<LiveEvent>>,
    /// There are no others up to here.
    pub(super) reached: Position,
}

impl Memory {
    pub(super) fn new(bounds: Bounds, start: Position) -> Self {
        Self { bounds, start, organizations: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// Takes the next event in.
    pub(super) fn push(&mut self, event: Arc<LiveEvent>) {
        self.bytes += event.message.len();
        self.order.push_back(event.organization_id);
        let start = self.start;
        self.organizations
            .entry(event.organization_id)
            .or_insert_with(|| Recent { floor: start, events: VecDeque::new() })
            .events
            .push_back(event);
        while self.order.len() > self.bounds.events || self.bytes > self.bounds.bytes {
            self.forget_oldest();
        }
        if self.organizations.len() > 2 * self.bounds.events {
            self.forget_the_quiet();
        }
    }

    /// Forgets the organizations of which no event is left. The memory of every organization that it does not
    /// know begins behind the last of their events then.
    fn forget_the_quiet(&mut self) {
        let start = &mut self.start;
        self.organizations.retain(|_, recent| {
            if recent.events.is_empty() {
                *start = recent.floor.max(*start);
            }
            !recent.events.is_empty()
        });
    }

    fn forget_oldest(&mut self) {
        let Some(organization) = self.order.pop_front() else { return };
        let Some(recent) = self.organizations.get_mut(&organization) else { return };
        if let Some(event) = recent.events.pop_front() {
            self.bytes -= event.message.len();
            recent.floor = event.position;
        }
        if recent.events.is_empty() {
            // Its room is given back: others may need as much, one after another.
            recent.events = VecDeque::new();
        }
    }

    /// At most `limit` events of an organization after a position and up to another; nothing where the
    /// memory does not reach back so far.
    pub(super) fn page(
        &self,
        organization: OrganizationId,
        after: Position,
        through: Position,
        limit: usize,
    ) -> Option<Page> {
        let Some(recent) = self.organizations.get(&organization) else {
            let page = Page { events: Vec::new(), reached: through };
            return (after >= self.start).then_some(page);
        };
        if after < recent.floor {
            return None;
        }
        let first = recent.events.partition_point(|event| event.position <= after);
        let wanted = recent.events.range(first..).take_while(|event| event.position <= through);
        let events: Vec<Arc<LiveEvent>> = wanted.take(limit).cloned().collect();
        let reached = match events.last() {
            Some(last) if events.len() == limit => last.position,
            _ => through,
        };
        Some(Page { events, reached })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::event::tests::live;
    use super::*;

    const LOOSE: Bounds = Bounds { events: 1_000, bytes: usize::MAX };

    fn organization(seed: u128) -> OrganizationId {
        OrganizationId(Uuid::from_u128(seed))
    }

    /// A memory that begins at 10 and has taken in events of (position, organization).
    fn memory(bounds: Bounds, events: &[(i64, u128)]) -> Memory {
        let mut memory = Memory::new(bounds, Position(10));
        for (position, organization) in events {
            memory.push(Arc::new(live(*position, *organization, 1)));
        }
        memory
    }

    /// The positions on a page and how far it reaches.
    fn page(memory: &Memory, seed: u128, after: i64, limit: usize) -> Option<(Vec<i64>, i64)> {
        let page = memory.page(organization(seed), Position(after), Position(100), limit)?;
        let positions = page.events.iter().map(|event| event.position.0).collect();
        Some((positions, page.reached.0))
    }

    #[test]
    fn a_page_holds_an_organizations_own_events_after_the_position() {
        let memory = memory(LOOSE, &[(11, 1), (12, 2), (13, 1), (15, 1)]);
        assert_eq!(page(&memory, 1, 10, 9), Some((vec![11, 13, 15], 100)));
        assert_eq!(page(&memory, 1, 12, 9), Some((vec![13, 15], 100)));
        assert_eq!(page(&memory, 1, 15, 9), Some((vec![], 100)));
        assert_eq!(page(&memory, 3, 10, 9), Some((vec![], 100)));
        let through = memory.page(organization(1), Position(10), Position(13), 9).unwrap();
        assert_eq!((through.events.len(), through.reached), (2, Position(13)));
    }

    #[test]
    fn a_full_page_reaches_to_its_last_event() {
        let memory = memory(LOOSE, &[(11, 1), (13, 1), (15, 1)]);
        assert_eq!(page(&memory, 1, 10, 2), Some((vec![11, 13], 13)));
        assert_eq!(page(&memory, 1, 13, 2), Some((vec![15], 100)));
    }

    #[test]
    fn what_lies_before_the_start_is_not_in_memory() {
        let memory = memory(LOOSE, &[(11, 1)]);
        assert_eq!(page(&memory, 1, 9, 9), None);
        assert_eq!(page(&memory, 3, 9, 9), None);
    }

    #[test]
    fn forgetting_moves_only_the_floor_of_those_whose_events_were_forgotten() {
        let bounds = Bounds { events: 2, ..LOOSE };
        let memory = memory(bounds, &[(11, 1), (12, 2), (13, 2), (14, 2)]);
        assert_eq!(page(&memory, 1, 10, 9), None);
        assert_eq!(page(&memory, 1, 11, 9), Some((vec![], 100)));
        assert_eq!(page(&memory, 2, 11, 9), None);
        assert_eq!(page(&memory, 2, 12, 9), Some((vec![13, 14], 100)));
        assert_eq!(page(&memory, 3, 10, 9), Some((vec![], 100)));
    }

    #[test]
    fn organizations_without_events_are_forgotten_when_they_are_many() {
        let bounds = Bounds { events: 2, ..LOOSE };
        let events: Vec<(i64, u128)> =
            (11..1_011).map(|position| (position, position as u128)).collect();
        let mut memory = memory(bounds, &events);
        assert!(memory.organizations.len() <= 4, "{}", memory.organizations.len());
        // A forgotten one is looked up in the store, for it had an event behind the position.
        assert_eq!(
            memory.page(organization(11), Position(10), Position(2_000), 9).map(|_| ()),
            None
        );
        // One that has an event still reaches back to it, and a new one begins where the memory does.
        assert_eq!(page(&memory, 1_010, 1_009, 9), Some((vec![], 100)));
        memory.push(Arc::new(live(1_011, 7, 1)));
        let page = memory.page(organization(7), Position(1_010), Position(2_000), 9).unwrap();
        assert_eq!(page.events.len(), 1);
    }

    #[test]
    fn an_organization_without_events_gives_its_room_back() {
        let bounds = Bounds { events: 1_000, ..LOOSE };
        let mut events: Vec<(i64, u128)> = (0..1_000).map(|number| (11 + number, 1)).collect();
        events.extend((0..1_000).map(|number| (1_011 + number, 2)));
        let memory = memory(bounds, &events);
        assert_eq!(memory.organizations[&organization(1)].events.capacity(), 0);
    }

    #[test]
    fn the_bytes_are_bounded_too() {
        let one = live(11, 1, 1).message.len();
        let memory = memory(Bounds { events: 9, bytes: one * 2 }, &[(11, 1), (12, 1), (13, 1)]);
        assert_eq!(memory.bytes, one * 2);
        assert_eq!(page(&memory, 1, 11, 9), Some((vec![12, 13], 100)));
    }
}
