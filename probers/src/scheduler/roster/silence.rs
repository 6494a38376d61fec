//! Which monitors of the roster fell silent.

use pulsetrail_domain::MonitorId;

use super::super::overdue::{Second, Silence};
use super::{Entry, NEVER, Roster};

impl Roster {
    /// Takes note of a result that counts until a moment.
    pub(in super::super) fn seen(&mut self, monitor_id: MonitorId, until_ms: i64, now_ms: i64) {
        let Some((place, entry)) = self.entry_of(monitor_id) else { return };
        let until = Second::not_before(until_ms);
        // What lies further ahead than a result can reach was set before the clock jumped back.
        let longest = Second::not_before(now_ms + entry.template.shape.valid_for_ms);
        let before = entry.silent_at;
        entry.silent_at = if before <= longest { before.max(until) } else { until };
        if entry.silent_at != before {
            self.watch_until_next_turn(place);
        }
    }

    /// Takes note that a monitor is known to be silent.
    pub(in super::super) fn lost(&mut self, monitor_id: MonitorId) {
        if let Some((_, entry)) = self.entry_of(monitor_id) {
            entry.silent_at = Second::NEVER;
        }
    }

    /// When somebody is silent next, in ms; it may be that nobody is.
    pub(in super::super) fn next_silence_ms(&self) -> Option<i64> {
        self.overdue.next_ms()
    }

    /// The next monitor of which nothing counts any more. It is told once, until a result is seen.
    pub(in super::super) fn take_silence(&mut self, now_ms: i64) -> Option<Silence> {
        while let Some((silent_at, place)) = self.overdue.pop(now_ms) {
            let since_ms = self.watching_since_ms;
            let Some(entry) = self.entries.get_mut(place as usize) else { continue };
            if entry.silent_at != silent_at || entry.next_slot == NEVER {
                continue;
            }
            let first_overdue_ms = since_ms + entry.template.shape.valid_for_ms;
            if first_overdue_ms > now_ms {
                entry.silent_at = Second::not_before(first_overdue_ms);
                self.watch_until_next_turn(place);
                continue;
            }
            entry.silent_at = Second::NEVER;
            let Entry { monitor_id, organization_id, .. } = *entry;
            return Some(Silence { monitor_id, organization_id, at_ms: silent_at.as_ms() });
        }
        None
    }

    #[cfg(test)]
    fn overdue_len(&self) -> usize {
        self.overdue.len()
    }

    /// A result is expected before one of now would stop to count.
    pub(super) fn expect_result(&mut self, place: u32, now_ms: i64) {
        if let Some(entry) = self.entries.get_mut(place as usize) {
            let latest = Second::not_before(now_ms + entry.template.shape.valid_for_ms);
            let before = Some(entry.silent_at).filter(|before| *before != Second::NEVER);
            entry.silent_at = before.unwrap_or(latest).max(latest);
            self.watch_until_next_turn(place);
        }
    }

    /// Sees to it that a silence is noticed that begins before the monitor's next turn.
    pub(super) fn watch_until_next_turn(&mut self, place: u32) {
        let Some(entry) = self.entries.get(place as usize) else { return };
        if entry.next_slot != NEVER && entry.silent_at.as_ms() <= entry.next_slot {
            self.overdue.push(entry.silent_at, place);
        }
    }

    fn entry_of(&mut self, monitor_id: MonitorId) -> Option<(u32, &mut Entry)> {
        let place = self.places.find(&self.entries, monitor_id)?;
        Some((place, self.entries.get_mut(place as usize)?))
    }
}

#[cfg(test)]
mod tests;
