//! What one region's checks say, and which of them were seen.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::check::{CheckResult, Outcome};

/// How many of a region's newest slots, and of a monitor's newest checks on demand, are remembered.
pub const REMEMBERED_SLOTS: usize = 64;

/// One region's newest results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionVotes {
    /// The newest slots that were recorded, ascending, in ms.
    slots: VecDeque<i64>,
    /// The newest result that counts; none before the first.
    vote: Option<Vote>,
    /// How many results in a row failed, up to now.
    failures: u32,
    /// The slot of the first of them.
    failing_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Vote {
    pub(super) scheduled_at: Timestamp,
    pub(super) valid_for_ms: i64,
    /// The monitor's version that the check was made from; 0 where that was not kept yet.
    #[serde(default)]
    pub(super) config_version: i64,
}

impl Vote {
    /// When it stops to count.
    pub(super) fn expires_at(&self) -> Timestamp {
        self.scheduled_at + chrono::Duration::milliseconds(self.valid_for_ms)
    }
}

/// Whether a slot was recorded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Yes,
    No,
    /// It is older than every remembered slot, and some were forgotten.
    Forgotten,
}

impl RegionVotes {
    pub(super) fn seen(&self, slot_ms: i64) -> Seen {
        match self.slots.binary_search(&slot_ms) {
            Ok(_) => Seen::Yes,
            Err(0) if self.slots.len() >= REMEMBERED_SLOTS => Seen::Forgotten,
            Err(_) => Seen::No,
        }
    }

    pub(super) fn remember(&mut self, slot_ms: i64) {
        let Err(place) = self.slots.binary_search(&slot_ms) else { return };
        if self.slots.len() < REMEMBERED_SLOTS {
            self.slots.insert(place, slot_ms);
        } else if place > 0 {
            // In this order, there is never room for more than are remembered.
            self.slots.pop_front();
            self.slots.insert(place - 1, slot_ms);
        }
    }

    /// Whether a result is newer than the region's vote.
    pub(super) fn is_newest(&self, result: &CheckResult) -> bool {
        self.vote.is_none_or(|vote| vote.scheduled_at < result.scheduled_at)
    }

    /// Takes a result as the region's vote, if it is its newest and says up or down; whether it was.
    pub(super) fn count(&mut self, result: &CheckResult) -> bool {
        if result.outcome == Outcome::Blocked || !self.is_newest(result) {
            return false;
        }
        self.vote = Some(Vote {
            scheduled_at: result.scheduled_at,
            valid_for_ms: result.valid_for_ms,
            config_version: result.config_version,
        });
        if result.outcome == Outcome::Down {
            self.failures = self.failures.saturating_add(1);
            self.failing_since.get_or_insert(result.scheduled_at);
        } else {
            self.failures = 0;
            self.failing_since = None;
        }
        true
    }

    /// Whether the region votes "failing" at a moment.
    pub(super) fn is_failing(&self, at: Timestamp, confirmations: u32) -> bool {
        let counts = self.vote.is_some_and(|vote| at < vote.expires_at());
        counts && self.failures >= confirmations
    }

    /// The newest result that counts.
    pub(super) fn vote(&self) -> Option<&Vote> {
        self.vote.as_ref()
    }

    /// The slot of the first failure of the run that lasts.
    pub(super) fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// Forgets what the results said, and keeps which were seen.
    pub(super) fn forget_votes(&mut self) {
        self.vote = None;
        self.failures = 0;
        self.failing_since = None;
    }
}
