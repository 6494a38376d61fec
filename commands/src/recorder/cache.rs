//! The aggregates that results are decided from: loaded in bulk, kept while they are used.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use lru::LruCache;
use pulsetrail_domain::MonitorId;
use pulsetrail_domain::health::Health;
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_infra::store::{
    Event, Snapshot, Store, StoreError, load_snapshots, read_aggregates,
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
}

impl Cache {
    /// A cache of at most `capacity` monitors.
    pub(super) fn new(capacity: usize) -> Self {
        Self { known: LruCache::new(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN)) }
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
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
            found.extend(load(store, &missing).await?);
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
