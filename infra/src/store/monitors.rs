//! Commands to monitors: load, decide, store, and read the result.

use std::collections::HashMap;

use cqrs_es::persist::PersistedEventStore;
use cqrs_es::{AggregateError, CqrsFramework};
use postgres_es::PostgresEventRepository;
use pulsetrail_domain::monitor::{
    Monitor, MonitorCommand, MonitorError, MonitorEvent, MonitorRequest,
};
use pulsetrail_domain::{MonitorId, OrganizationId};

use super::upcast::AggregateUpcaster;
use super::{MonitorViewWriter, Store, StoreError, read_aggregate};

/// How often a command is decided again when another one was faster.
const ATTEMPTS: usize = 8;

/// Takes commands to monitors.
pub struct MonitorCommands {
    framework: CqrsFramework<Monitor, PersistedEventStore<PostgresEventRepository, Monitor>>,
    store: Store,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum MonitorFailure {
    /// The monitor refused it: tell the caller.
    #[error(transparent)]
    Refused(#[from] MonitorError),
    /// Other commands to the same monitor were faster every time: the caller may try again.
    #[error("other commands to the monitor were faster")]
    Contended,
    /// The event store is busy or away: the caller may try again later.
    #[error("the event store is not available: {0}")]
    Unavailable(String),
    /// The store holds what cannot be read: an operator must look.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MonitorCommands {
    /// Over the store's appending connections; `monitor_view` is written right after each commit.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let repository = PostgresEventRepository::new(store.write.clone());
        let events = PersistedEventStore::new_event_store(repository)
            .with_upcasters(vec![Box::new(AggregateUpcaster(Monitor::AGGREGATE))]);
        let view = MonitorViewWriter::new(store.write.clone());
        Self { framework: CqrsFramework::new(events, vec![Box::new(view)], ()), store }
    }

    /// Carries a command out and returns the monitor as it is then. `metadata` says who asked, and
    /// in which request.
    ///
    /// # Errors
    /// See [`MonitorFailure`]. A monitor of another organization is [`MonitorError::NotFound`].
    pub async fn execute(
        &self,
        organization_id: OrganizationId,
        monitor_id: MonitorId,
        request: MonitorRequest,
        mut metadata: HashMap<String, String>,
    ) -> Result<Monitor, MonitorFailure> {
        if !matches!(request.command, MonitorCommand::Register { .. }) {
            self.load(organization_id, monitor_id).await?;
        }
        metadata.insert("organization_id".to_owned(), organization_id.to_string());
        let id = monitor_id.to_string();
        for _ in 0..ATTEMPTS {
            let done =
                self.framework.execute_with_metadata(&id, request.clone(), metadata.clone()).await;
            match done {
                Ok(()) => return self.load(organization_id, monitor_id).await,
                Err(AggregateError::AggregateConflict) => {}
                Err(AggregateError::UserError(refusal)) => return Err(refusal.into()),
                Err(error @ AggregateError::DeserializationError(_)) => {
                    // Our own reader says where it lies.
                    self.load(organization_id, monitor_id).await?;
                    return Err(MonitorFailure::Unavailable(error.to_string()));
                }
                Err(error) => return Err(MonitorFailure::Unavailable(error.to_string())),
            }
        }
        Err(MonitorFailure::Contended)
    }

    /// The monitor as it is now.
    ///
    /// # Errors
    /// [`MonitorError::NotFound`] where there is none, or it is another organization's.
    pub async fn load(
        &self,
        organization_id: OrganizationId,
        monitor_id: MonitorId,
    ) -> Result<Monitor, MonitorFailure> {
        let monitor = load(&self.store, monitor_id).await?;
        if monitor.version == 0 || monitor.organization_id != organization_id {
            return Err(MonitorError::NotFound.into());
        }
        Ok(monitor)
    }
}

/// A monitor from its events; version 0 where there are none.
async fn load(store: &Store, monitor_id: MonitorId) -> Result<Monitor, StoreError> {
    let id = monitor_id.to_string();
    let mut monitor = Monitor::default();
    loop {
        let page =
            read_aggregate(&store.read, Monitor::AGGREGATE, &id, monitor.version, 1_000).await?;
        let last = page.len() < 1_000;
        for stored in page {
            let event: MonitorEvent = stored.event.monitor_event().map_err(|source| {
                StoreError::Unreadable { position: stored.event.position.0, source }
            })?;
            monitor.apply_event(event);
        }
        if last {
            return Ok(monitor);
        }
    }
}
