//! The aggregates that results are decided from: loaded in bulk, kept while they are used.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use pulsetrail_domain::health::{Health, ObservationPolicy};
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{
    AppendOutcome, Event, Snapshot, Store, StoreError, head, load_snapshots, monitors_between,
    read_aggregates, save_snapshots,
};

/// A snapshot of a health aggregate is kept each time its version passes a multiple of this: about so many
/// events are read at most for a monitor that is not in memory, as none is when a recorder starts.
pub(super) const SNAPSHOT_EVERY: i64 = 50;

/// How many positions that others appended are read at a time.
const PIECE: i64 = 10_000;
/// How many are read at most before the monitors that are needed next are loaded instead, which takes less
/// time then.
const FOLLOWED: i64 = 1_000_000;

/// What decisions about one monitor are made from, at the versions that were last read or written.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) organization_id: OrganizationId,
    /// What decisions take from the monitor; none where there is no such monitor.
    pub(super) policy: Option<ObservationPolicy>,
    pub(super) health: Health,
    /// Why the history cannot be read, if it cannot.
    pub(super) unreadable: Option<String>,
}

/// What is known of the monitors that were needed last.
pub(super) struct Cache {
    known: LruCache<MonitorId, Arc<Known>>,
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

    /// Forgets what others appended to, as an append that was committed has found out. Where others have
    /// appended too much for the append to tell, it is read, in pieces and without the lock: events of
    /// another tenant, however many, leave in memory what they are not about.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then everything known must be forgotten.
    pub(super) async fn follow(
        &mut self,
        store: &Store,
        appended: &AppendOutcome,
    ) -> Result<(), StoreError> {
        let reached = appended.reached;
        match (&appended.moved, self.through) {
            (Some(moved), _) => self.forget_all(moved),
            (None, Some(through)) if reached.0 - through.0 <= FOLLOWED => {
                let mut after = through;
                while after < reached && !self.known.is_empty() {
                    let piece = Position(after.0.saturating_add(PIECE)).min(reached);
                    self.forget_all(&monitors_between(&store.read, after, piece).await?);
                    after = piece;
                }
            }
            (None, _) => self.known.clear(),
        }
        self.through = Some(reached);
        Ok(())
    }

    fn forget_all(&mut self, monitor_ids: &[String]) {
        for id in monitor_ids.iter().filter_map(|id| id.parse().ok()) {
            self.forget(id);
        }
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.through = None;
    }

    pub(super) fn forget(&mut self, monitor_id: MonitorId) {
        self.known.pop(&monitor_id);
    }

    pub(super) fn put(&mut self, monitor_id: MonitorId, known: Known) {
        self.known.put(monitor_id, Arc::new(known));
    }

    /// What is known of the given monitors, loading what is not cached.
    pub(super) async fn load(
        &mut self,
        store: &Store,
        monitor_ids: &HashSet<MonitorId>,
    ) -> Result<HashMap<MonitorId, Arc<Known>>, StoreError> {
        let mut found = HashMap::with_capacity(monitor_ids.len());
        let mut missing = Vec::new();
        for id in monitor_ids {
            match self.known.get(id) {
                Some(known) => {
                    found.insert(*id, Arc::clone(known));
                }
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            metrics::monitors_loaded(missing.len());
            if self.through.is_none() {
                self.through = Some(head(&store.read).await?);
            }
            for (id, known) in load(store, &missing).await? {
                let known = Arc::new(known);
                if known.policy.is_some() {
                    self.known.put(id, Arc::clone(&known));
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
    let mut loading: HashMap<String, Loading> =
        ids.iter().map(|id| (id.clone(), Loading::default())).collect();

    let monitors: Vec<(String, i64)> = ids.iter().map(|id| (id.clone(), 0)).collect();
    read_aggregates(&store.read, Monitor::AGGREGATE, &monitors, |event| {
        apply(&mut loading, &event, |loading, event| {
            loading.monitor.apply_event(event.monitor_event()?);
            Ok(())
        });
    })
    .await?;

    let kept = load_snapshots(&store.read, Health::AGGREGATE, Health::FOLD_VERSION, &ids).await?;
    for Snapshot { aggregate_id, sequence, state } in kept {
        // A snapshot only saves time: one that cannot be read is passed over.
        if let (Some(loading), Ok(health)) =
            (loading.get_mut(&aggregate_id), serde_json::from_str::<Health>(&state))
            && health.version == sequence
        {
            loading.health = health;
        }
    }
    let healths: Vec<(String, i64)> =
        loading.iter().map(|(id, loading)| (id.clone(), loading.health.version)).collect();
    read_aggregates(&store.read, Health::AGGREGATE, &healths, |event| {
        apply(&mut loading, &event, |loading, event| {
            loading.health.apply_event(&event.health_event()?);
            Ok(())
        });
    })
    .await?;
    keep_snapshots(store, &overdue_snapshots(&loading, &healths)?).await;
    Ok(monitor_ids
        .iter()
        .filter_map(|id| loading.remove(&id.to_string()).map(|loading| (*id, loading.known())))
        .collect())
}

/// The snapshots of what had to be read from far back, as all is after a change of the fold: so it is
/// read once.
fn overdue_snapshots(
    loading: &HashMap<String, Loading>,
    read_from: &[(String, i64)],
) -> Result<Vec<Snapshot>, serde_json::Error> {
    read_from
        .iter()
        .filter_map(|(id, from)| Some((id, from, loading.get(id)?)))
        .filter(|(_, from, loading)| {
            loading.unreadable.is_none() && loading.health.version - *from > 2 * SNAPSHOT_EVERY
        })
        .map(|(id, _, loading)| {
            let state = serde_json::to_string(&loading.health)?;
            let sequence = loading.health.version;
            Ok(Snapshot { aggregate_id: id.clone(), sequence, state })
        })
        .collect()
}

/// Saves snapshots. They only save time: where that fails, later ones will do.
pub(super) async fn keep_snapshots(store: &Store, snapshots: &[Snapshot]) {
    let saved =
        save_snapshots(&store.write, Health::AGGREGATE, Health::FOLD_VERSION, snapshots).await;
    if let Err(error) = saved {
        tracing::debug!(%error, "snapshots could not be saved; later ones will be");
    }
}

/// What is being read of one monitor.
#[derive(Default)]
struct Loading {
    monitor: Monitor,
    health: Health,
    unreadable: Option<String>,
}

impl Loading {
    fn known(self) -> Known {
        Known {
            organization_id: self.monitor.organization_id,
            policy: ObservationPolicy::of(&self.monitor),
            health: self.health,
            unreadable: self.unreadable,
        }
    }
}

fn apply(
    loading: &mut HashMap<String, Loading>,
    event: &Event,
    apply: impl FnOnce(&mut Loading, &Event) -> Result<(), pulsetrail_infra::store::DecodeError>,
) {
    let Some(loading) = loading.get_mut(&event.aggregate_id) else { return };
    if loading.unreadable.is_none()
        && let Err(error) = apply(loading, event)
    {
        loading.unreadable = Some(format!("position {}: {error}", event.position));
    }
}
