//! Where each monitor's entry is: 4 bytes a monitor and the table's own one, because the ids are in the
//! entries.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;
use pulsetrail_domain::MonitorId;

use super::Entry;

/// The places of monitors among the entries.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: HashTable<u32>,
    hashes: RandomState,
}

impl Places {
    /// The place of a monitor.
    pub(super) fn find(&self, entries: &[Entry], monitor_id: MonitorId) -> Option<u32> {
        let hash = self.hashes.hash_one(monitor_id);
        self.places.find(hash, |place| id_at(entries, *place) == Some(monitor_id)).copied()
    }

    /// Adds a place whose monitor has none yet.
    pub(super) fn insert(&mut self, entries: &[Entry], place: u32) {
        let hash = |place: &u32| self.hashes.hash_one(id_at(entries, *place).unwrap_or_default());
        self.places.insert_unique(hash(&place), place, hash);
    }

    /// Takes a monitor's place out.
    pub(super) fn remove(&mut self, entries: &[Entry], monitor_id: MonitorId) -> Option<u32> {
        let hash = self.hashes.hash_one(monitor_id);
        let is_its = |place: &u32| id_at(entries, *place) == Some(monitor_id);
        self.places.find_entry(hash, is_its).ok().map(|found| found.remove().0)
    }
}

fn id_at(entries: &[Entry], place: u32) -> Option<MonitorId> {
    entries.get(place as usize).map(|entry| entry.monitor_id)
}
