//! Taking turns.

use std::cmp::Reverse;

use pulsetrail_domain::MonitorId;
use pulsetrail_domain::slot::next_slot_ms;
use pulsetrail_infra::vitals::DropReason;

use super::{Roster, Turn};

impl Roster {
    /// The next monitor whose turn has come. It is due again at its next slot, which may have passed too.
    /// Slots whose checks cannot begin any more are dropped, for `reason`.
    pub(in super::super) fn take_turn(&mut self, now_ms: i64, reason: DropReason) -> Option<Turn> {
        while let Some(Reverse((slot_ms, place))) = self.due.peek().copied() {
            if slot_ms > now_ms {
                return None;
            }
            self.due.pop();
            let is_due = self.entries.get(place as usize).map(|entry| entry.next_slot);
            if is_due == Some(slot_ms)
                && let Some(turn) = self.take(place, now_ms, reason)
            {
                return Some(turn);
            }
        }
        None
    }

    /// The turn of a monitor that changes at `changed_ms`, if it has come by then and was not taken yet: it
    /// is one of the configuration before the change.
    pub(in super::super) fn take_turn_before(
        &mut self,
        (monitor_id, changed_ms): (MonitorId, i64),
        now_ms: i64,
        reason: DropReason,
    ) -> Option<Turn> {
        let place = self.places.find(&self.entries, monitor_id)?;
        while self.entries.get(place as usize)?.next_slot <= changed_ms.min(now_ms) {
            let turn = self.take(place, now_ms, reason);
            if turn.is_some() {
                return turn;
            }
        }
        None
    }

    /// Takes the turn of a place that is due, or drops it if it is too late.
    fn take(&mut self, place: u32, now_ms: i64, reason: DropReason) -> Option<Turn> {
        let entry = self.entries.get(place as usize)?;
        let (slot_ms, shape) = (entry.next_slot, &entry.template.shape);
        let deadline_ms = shape.deadline_ms(slot_ms);
        let is_in_time = deadline_ms > now_ms;
        if is_in_time {
            let next_ms = next_slot_ms(entry.monitor_id, shape.interval_ms(), slot_ms);
            self.drops.count(DropReason::UnknownRegion, shape.unknown_regions);
            self.set_due(place, next_ms);
        } else {
            self.set_due_in_time(place, slot_ms, now_ms, reason);
        }
        self.watch_until_next_turn(place);
        is_in_time.then_some(Turn { place, slot_ms, deadline_ms })
    }
}
