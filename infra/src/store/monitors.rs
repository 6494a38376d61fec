//! Commands to monitors: load, decide, store.

use std::collections::HashMap;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use pulsetrail_domain::monitor::{MonitorCommand, MonitorError, MonitorEvent, MonitorRequest};
use pulsetrail_domain::{MonitorId, OrganizationId};

use super::monitor_log::{MonitorAppend, MonitorLog, NotAppended};
use super::stored_monitor::{StoredMonitor, load_monitor};
use super::{NewEvent, Store, StoreError};
use crate::secrets::SealedSecrets;
use crate::supervised::Supervisor;

/// How often a command is decided again when another one was faster.
const ATTEMPTS: usize = 8;

/// Takes commands to monitors.
pub struct MonitorCommands {
    log: MonitorLog,
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
    /// As many commands of the organization wait as may: the caller may try again shortly.
    #[error("too many commands of the organization wait")]
    TooManyWait,
    /// The event store is busy or away: the caller may try again later.
    #[error("the event store is not available: {0}")]
    Unavailable(String),
    /// The store holds what cannot be read: an operator must look.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MonitorCommands {
    /// Over a store. Must be called within a Tokio runtime: commands that come at the same time are
    /// stored together, by a task that lives as long as this. `tasks` owns it.
    #[must_use]
    pub fn new(store: Store, tasks: &Supervisor) -> Self {
        Self { log: MonitorLog::start(store.write.clone(), tasks), store }
    }

    /// Carries a command out and returns the monitor as it is then. `metadata` says who asked, and
    /// in which request. Whoever reads `monitor_view` afterwards sees it.
    ///
    /// # Errors
    /// See [`MonitorFailure`]. A monitor of another organization is [`MonitorError::NotFound`].
    pub async fn execute(
        &self,
        organization_id: OrganizationId,
        monitor_id: MonitorId,
        request: MonitorRequest,
        metadata: HashMap<String, String>,
    ) -> Result<StoredMonitor, MonitorFailure> {
        let sealed = SealedSecrets::default();
        self.execute_with_secrets(organization_id, monitor_id, request, metadata, sealed).await
    }

    /// As [`MonitorCommands::execute`], of a configuration that names secrets which are not kept yet. They
    /// are kept in the transaction of its event, and those that it names no more are deleted in it.
    ///
    /// # Errors
    /// As [`MonitorCommands::execute`].
    pub async fn execute_with_secrets(
        &self,
        organization_id: OrganizationId,
        monitor_id: MonitorId,
        request: MonitorRequest,
        mut metadata: HashMap<String, String>,
        sealed: SealedSecrets,
    ) -> Result<StoredMonitor, MonitorFailure> {
        metadata.insert("organization_id".to_owned(), organization_id.to_string());
        let metadata = serde_json::to_string(&metadata).map_err(StoreError::from)?;
        let registers = matches!(request.command, MonitorCommand::Register { .. });
        for attempt in 0..ATTEMPTS {
            let mut stored = match registers {
                // A new id has no history that would have to be read. Where it has one, storing fails.
                true if attempt == 0 => StoredMonitor::default(),
                true => load_monitor(&self.store.read, monitor_id).await?,
                false => self.load(organization_id, monitor_id).await?,
            };
            let before = stored.monitor.version;
            let had_secrets = stored.monitor.secrets().next().is_some();
            let decided = EventSink::default();
            stored.monitor.handle(request.clone(), &(), &decided).await?;
            let events = decided.collect().await;
            if events.is_empty() {
                return Ok(stored);
            }
            let append = MonitorAppend {
                monitor_id,
                organization_id,
                expected: before,
                events: as_stored(&events)?,
                metadata: metadata.clone(),
                after: stored.monitor.clone(),
                registered_at: (before > 0).then_some(stored.registered_at),
                touches_secrets: had_secrets || stored.monitor.secrets().next().is_some(),
                sealed: sealed.clone(),
            };
            let appended = self.log.append(append).await.map_err(|failure| match failure {
                NotAppended::TooManyWait => MonitorFailure::TooManyWait,
                NotAppended::Store(error) => MonitorFailure::Unavailable(error.to_string()),
            });
            if let Some(recorded_at) = appended? {
                events.iter().for_each(|event| stored.note(event, recorded_at));
                return Ok(stored);
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
    ) -> Result<StoredMonitor, MonitorFailure> {
        let stored = load_monitor(&self.store.read, monitor_id).await?;
        if stored.belongs_to(organization_id) {
            Ok(stored)
        } else {
            Err(MonitorError::NotFound.into())
        }
    }
}

fn as_stored(events: &[MonitorEvent]) -> Result<Vec<NewEvent>, StoreError> {
    Ok(events.iter().map(NewEvent::monitor).collect::<Result<_, _>>()?)
}
