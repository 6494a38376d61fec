//! The secrets that the jobs of a batch of events take along.

use std::collections::{HashMap, HashSet};

use pulsetrail_domain::monitor::{Monitor, MonitorConfig, MonitorEvent};
use pulsetrail_domain::{OrganizationId, Position, SecretId};
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::store::{Event, Store, StoreError, load_sealed, read_aggregate};

/// How often it is looked further ahead for monitors that change all the time.
const ATTEMPTS: usize = 4;
/// Events of a monitor that are read ahead at a time.
const AHEAD: i64 = 100;

/// Events that are taken in together, with the secrets that they name.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    /// The log up to there is taken in with them.
    pub(super) position: Position,
    pub(super) sealed: SealedSecrets,
}

impl Batch {
    /// Puts the secrets to the events. The secrets of a version are deleted when the next one is
    /// stored: where some are missing, the monitor's later events are read ahead, so that no job is made
    /// of a version that is past.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub(super) async fn complete(&mut self, store: &Store) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let (wanted, named) = self.named();
            self.sealed = load_sealed(&store.read, &wanted).await?;
            let mut ahead = Vec::new();
            for (monitor, newest) in named {
                if newest.secrets.iter().all(|id| self.sealed.0.contains_key(id)) {
                    continue;
                }
                let (kind, after) = (Monitor::AGGREGATE, newest.sequence);
                let later = read_aggregate(&store.read, kind, &monitor, after, AHEAD).await?;
                ahead.extend(later.into_iter().map(|later| later.event));
            }
            if ahead.is_empty() {
                break;
            }
            self.events.append(&mut ahead);
        }
        Ok(())
    }

    /// Every secret that is named, and of each monitor whose configuration is among the events the newest
    /// event and what the newest configuration names.
    fn named(&self) -> (HashSet<(OrganizationId, SecretId)>, HashMap<String, Newest>) {
        let (mut wanted, mut named) = (HashSet::new(), HashMap::<String, Newest>::new());
        for event in self.events.iter().filter(|one| one.aggregate_type == Monitor::AGGREGATE) {
            let Ok(decoded) = event.monitor_event() else { continue };
            match config(&decoded) {
                Some(config) => {
                    let secrets: Vec<SecretId> =
                        config.target.secrets().map(|one| one.secret).collect();
                    wanted.extend(secrets.iter().map(|id| (event.organization_id, *id)));
                    let newest = Newest { sequence: event.sequence, secrets };
                    named.insert(event.aggregate_id.clone(), newest);
                }
                None => {
                    if let Some(newest) = named.get_mut(&event.aggregate_id) {
                        newest.sequence = event.sequence;
                    }
                }
            }
        }
        (wanted, named)
    }
}

struct Newest {
    sequence: i64,
    secrets: Vec<SecretId>,
}

fn config(event: &MonitorEvent) -> Option<&MonitorConfig> {
    match event {
        MonitorEvent::MonitorRegistered { config, .. }
        | MonitorEvent::MonitorReconfigured { config } => Some(config),
        _ => None,
    }
}
