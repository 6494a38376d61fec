//! Which monitors' results are overdue.
//!
//! Each monitor's entry keeps the second in which its newest result stops to count. As long as results
//! come, that lies beyond the monitor's next turn, and nothing else is needed. Only a monitor whose
//! results stop to count before its next turn gets an entry in the heap here, 8 bytes, so that a million
//! monitors that are well cost nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::health::Health;
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp};
use pulsetrail_infra::store::Event;
use serde::Deserialize;
use tokio::time::Instant;

/// How far the clock may run away from the time that passed before it is said to have jumped.
const JUMP_MS: i64 = 1_000;

/// A second since the epoch, up to the year 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Second(u32);

impl Second {
    /// Of a monitor whose silence was told, and of one that is not checked.
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// The first whole second that is not before a moment.
    pub(super) fn not_before(ms: i64) -> Self {
        Self(u32::try_from(ms.saturating_add(999).div_euclid(1_000).max(0)).unwrap_or(u32::MAX - 1))
    }

    pub(super) fn as_ms(self) -> i64 {
        i64::from(self.0) * 1_000
    }
}

/// A monitor of which nothing that counts was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) monitor_id: MonitorId,
    pub(super) organization_id: OrganizationId,
    /// When the newest result stopped to count, or the first was overdue, in ms.
    pub(super) at_ms: i64,
}

/// The monitors whose results stop to count before their next turn.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    heap: BinaryHeap<Reverse<(Second, u32)>>,
}

impl Overdue {
    pub(super) fn push(&mut self, silent_at: Second, place: u32) {
        self.heap.push(Reverse((silent_at, place)));
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// When the next one is silent, in ms.
    pub(super) fn next_ms(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((silent_at, _))| silent_at.as_ms())
    }

    /// The next one whose second has come, by its place.
    pub(super) fn pop(&mut self, now_ms: i64) -> Option<(Second, u32)> {
        self.next_ms().filter(|due_ms| *due_ms <= now_ms)?;
        self.heap.pop().map(|Reverse(silent)| silent)
    }
}

/// What a health event tells of silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A result, which counts until this moment.
    CountsUntil(Timestamp),
    /// It is known that nothing counts.
    Lost,
}

/// The fields of `CheckCompleted` that matter here: reading all of them takes much longer.
#[derive(Deserialize)]
struct Glimpse {
    scheduled_at: Timestamp,
    outcome: Outcome,
    valid_for_ms: i64,
}

impl Sign {
    /// What an event tells, if it tells anything. One that cannot be read tells nothing: whether a
    /// silence is one is decided from the whole log.
    pub(super) fn of(event: &Event) -> Option<Self> {
        if event.aggregate_type != Health::AGGREGATE {
            return None;
        }
        match event.event_type.as_str() {
            "ObservationLost" => Some(Self::Lost),
            "CheckCompleted" => {
                let glimpse: Glimpse = serde_json::from_str(event.payload.get()).ok()?;
                let counts = glimpse.outcome != Outcome::Blocked;
                let valid_for = chrono::Duration::milliseconds(glimpse.valid_for_ms);
                counts.then(|| Self::CountsUntil(glimpse.scheduled_at + valid_for))
            }
            _ => None,
        }
    }
}

/// The clock did not go as time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jump {
    /// What it would show, in ms since the epoch.
    pub(super) expected_ms: i64,
    /// What it shows.
    pub(super) now_ms: i64,
}

/// Notices when the clock on the wall does not go as time does.
#[derive(Debug)]
pub(super) struct Clock {
    wall_ms: i64,
    looked_at: Instant,
}

impl Clock {
    /// A clock that shows `wall_ms` at `now`.
    pub(super) fn at(wall_ms: i64, now: Instant) -> Self {
        Self { wall_ms, looked_at: now }
    }

    /// Looks at both; whether one ran away from the other since the last look.
    pub(super) fn jumped(&mut self, wall_ms: i64, now: Instant) -> Option<Jump> {
        let passed = now.saturating_duration_since(self.looked_at).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let expected_ms = self.wall_ms.saturating_add(passed);
        (self.wall_ms, self.looked_at) = (wall_ms, now);
        let by = wall_ms.saturating_sub(expected_ms).saturating_abs();
        (by > JUMP_MS).then_some(Jump { expected_ms, now_ms: wall_ms })
    }
}

#[cfg(test)]
#[path = "overdue_tests.rs"]
mod tests;
