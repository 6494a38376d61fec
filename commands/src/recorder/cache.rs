//! The aggregates that results are decided from: loaded in bulk, kept while they are used.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use lru::LruCache;
use pulsetrail_domain::health::Health;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{MonitorId, Position};
use pulsetrail_infra::store::{
    AppendOutcome, Event, Snapshot, Store, StoreError, head, load_snapshots, read_aggregates,
};

/// One monitor, and its health, at the versions they had when they were last read or written.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) monitor: Monitor,
    pub(super) health: Health,
    /// Why the history cannot be read, if it cannot.
    pub(super) unreadable: Option<String>,
}

/// What is known of the monitors that were needed last.
pub(super) struct Cache {
    known: LruCache<MonitorId, Known>,
    /// Everything known was right when the log ended here, or later; none where nothing is known.
    through: Option<Position>,
}

impl Cache {
    /// A cache of at most `capacity` monitors.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        Self { known: LruCache::new(capacity), through: None }
    }

    /// Up to where the log is taken into account: what others appended later is not.
    pub(super) fn through(&self) -> Position {
        self.through.unwrap_or_default()
    }

    /// Forgets what others appended to, as an append that was committed has found out.
    pub(super) fn follow(&mut self, appended: &AppendOutcome) {
        match &appended.moved {
            Some(moved) => {
                for id in moved.iter().filter_map(|id| id.parse().ok()) {
                    self.forget(id);
                }
            }
            None => self.known.clear(),
        }
        self.through = Some(appended.reached);
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.through = None;
    }

    pub(super) fn forget(&mut self, monitor_id: MonitorId) {
        self.known.pop(&monitor_id);
    }

    pub(super) fn put(&mut self, monitor_id: MonitorId, known: Known) {
        self.known.put(monitor_id, known);
    }

    /// What is known of the given monitors, loading what is not cached. A monitor that does not exist
    /// has version 0.
    pub(super) async fn load(
        &mut self,
        store: &Store,
        monitor_ids: &HashSet<MonitorId>,
    ) -> Result<HashMap<MonitorId, Known>, StoreError> {
        let mut found = HashMap::with_capacity(monitor_ids.len());
        let mut missing = Vec::new();
        for id in monitor_ids {
            match self.known.get(id) {
                Some(known) => {
                    found.insert(*id, known.clone());
                }
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            if self.through.is_none() {
                self.through = Some(head(&store.read).await?);
            }
            for (id, known) in load(store, &missing).await? {
                if known.monitor.version > 0 {
                    self.known.put(id, known.clone());
                }
                found.insert(id, known);
            }
        }
        Ok(found)
    }
}

async fn load(
    store: &Store,
    monitor_ids: &[MonitorId],
) -> Result<HashMap<MonitorId, Known>, StoreError> {
    let ids: Vec<String> = monitor_ids.iter().map(ToString::to_string).collect();
    let mut known: HashMap<String, Known> =
        ids.iter().map(|id| (id.clone(), Known::default())).collect();

    let monitors: Vec<(String, i64)> = ids.iter().map(|id| (id.clone(), 0)).collect();
    read_aggregates(&store.read, Monitor::AGGREGATE, &monitors, |event| {
        apply(&mut known, &event, |known, event| {
            known.monitor.apply_event(event.monitor_event()?);
            Ok(())
        });
    })
    .await?;

    for Snapshot { aggregate_id, sequence, state } in
        load_snapshots(&store.read, Health::AGGREGATE, &ids).await?
    {
        // A snapshot only saves time: one that cannot be read is passed over.
        if let (Some(known), Ok(health)) =
            (known.get_mut(&aggregate_id), serde_json::from_str::<Health>(&state))
            && health.version == sequence
        {
            known.health = health;
        }
    }
    let healths: Vec<(String, i64)> =
        known.iter().map(|(id, known)| (id.clone(), known.health.version)).collect();
    read_aggregates(&store.read, Health::AGGREGATE, &healths, |event| {
        apply(&mut known, &event, |known, event| {
            known.health.apply_event(&event.health_event()?);
            Ok(())
        });
    })
    .await?;
    Ok(monitor_ids
        .iter()
        .filter_map(|id| known.remove(&id.to_string()).map(|known| (*id, known)))
        .collect())
}

fn apply(
    known: &mut HashMap<String, Known>,
    event: &Event,
    apply: impl FnOnce(&mut Known, &Event) -> Result<(), pulsetrail_infra::store::DecodeError>,
) {
    let Some(known) = known.get_mut(&event.aggregate_id) else { return };
    if known.unreadable.is_none()
        && let Err(error) = apply(known, event)
    {
        known.unreadable = Some(format!("position {}: {error}", event.position));
    }
}
