//! What one connection is subscribed to, and from which position on.

use std::collections::HashMap;

use pulsetrail_domain::{MonitorId, Position};

use super::event::LiveEvent;
use super::message::Selected;

/// Rooms of a connection at most.
pub(super) const MAX_ROOMS: usize = 10_000;

/// Each room with the position after which its events are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Rooms {
    all: Option<Position>,
    some: HashMap<MonitorId, Position>,
}

impl Rooms {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_none() && self.some.is_empty()
    }

    /// Whether it is subscribed to all monitors of the organization.
    pub(super) fn has_all(&self) -> bool {
        self.all.is_some()
    }

    /// Whether it is in a room that was named.
    pub(super) fn has(&self, monitor: MonitorId) -> bool {
        self.some.contains_key(&monitor)
    }

    /// How many rooms of a selection it is not in.
    pub(super) fn count_new(&self, selected: &Selected) -> usize {
        match selected {
            Selected::All(_) => 0,
            Selected::Some(monitors) => {
                monitors.iter().filter(|id| !self.some.contains_key(id)).count()
            }
        }
    }

    /// The rooms that were named one by one.
    pub(super) fn named(&self) -> impl Iterator<Item = MonitorId> {
        self.some.keys().copied()
    }

    /// Whether an event is wanted and was not sent yet.
    pub(super) fn want(&self, event: &LiveEvent) -> bool {
        self.all.is_some_and(|after| after < event.position)
            || self.some.get(&event.monitor_id).is_some_and(|after| *after < event.position)
    }

    /// Everything up to `position` was sent.
    pub(super) fn sent_through(&mut self, position: Position) {
        for after in self.all.iter_mut().chain(self.some.values_mut()) {
            *after = position.max(*after);
        }
    }

    /// Wants the events of `selected` after a position; with `again`, also those that were sent.
    /// False where there would be too many rooms; then nothing is changed.
    pub(super) fn add(&mut self, selected: &Selected, after: Position, again: bool) -> bool {
        let place = |room: &mut Position| {
            if again {
                *room = after;
            }
        };
        if self.some.len() + self.count_new(selected) > MAX_ROOMS {
            return false;
        }
        match selected {
            Selected::All(_) => place(self.all.get_or_insert(after)),
            Selected::Some(monitors) => {
                for monitor in monitors {
                    place(self.some.entry(*monitor).or_insert(after));
                }
            }
        }
        true
    }

    /// Leaves rooms. Leaving all of them leaves those that were named one by one, too.
    pub(super) fn remove(&mut self, selected: &Selected) {
        match selected {
            Selected::All(_) => *self = Self::default(),
            Selected::Some(monitors) => {
                for monitor in monitors {
                    self.some.remove(monitor);
                }
            }
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

    fn some(seeds: impl IntoIterator<Item = u128>) -> Selected {
        Selected::Some(seeds.into_iter().map(|seed| MonitorId(Uuid::from_u128(seed))).collect())
    }

    #[test]
    fn events_are_wanted_from_each_rooms_own_position_on() {
        let mut rooms = Rooms::default();
        assert!(rooms.add(&some([1]), Position(5), false));
        assert!(rooms.add(&some([2]), Position(9), false));
        assert!(rooms.want(&live(6, 1, 1)) && !rooms.want(&live(5, 1, 1)));
        assert!(!rooms.want(&live(9, 1, 2)) && rooms.want(&live(10, 1, 2)));
        assert!(!rooms.want(&live(10, 1, 3)));
        rooms.sent_through(Position(7));
        assert!(!rooms.want(&live(7, 1, 1)) && !rooms.want(&live(9, 1, 2)));
    }

    #[test]
    fn a_room_is_entered_once_unless_it_is_asked_for_again() {
        let mut rooms = Rooms::default();
        rooms.add(&some([1]), Position(5), false);
        rooms.add(&some([1]), Position(9), false);
        assert!(rooms.want(&live(6, 1, 1)));
        rooms.add(&some([1]), Position(2), true);
        assert!(rooms.want(&live(3, 1, 1)));
    }

    #[test]
    fn leaving_all_leaves_every_room() {
        let mut rooms = Rooms::default();
        rooms.add(&some([1, 2]), Position(5), false);
        rooms.add(&ALL, Position(5), false);
        rooms.remove(&some([1]));
        assert!(rooms.want(&live(6, 1, 1)));
        rooms.remove(&ALL);
        assert!(rooms.is_empty() && !rooms.want(&live(6, 1, 2)));
    }

    #[test]
    fn there_are_at_most_ten_thousand_rooms() {
        let mut rooms = Rooms::default();
        assert!(rooms.add(&some(1..=9_999), Position(0), false));
        assert!(!rooms.add(&some([10_000, 10_001]), Position(0), false));
        assert!(rooms.add(&some([1, 10_000]), Position(0), false));
        assert_eq!(rooms.named().count(), MAX_ROOMS);
    }
}
