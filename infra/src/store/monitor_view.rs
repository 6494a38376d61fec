//! The configuration half of the monitors' read model.

use std::collections::HashMap;

use pulsetrail_domain::monitor::{Monitor, MonitorConfig, MonitorEvent};
use pulsetrail_domain::{MonitorId, OrganizationId};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Event, StoreError};

/// Writes `monitor_view` from the log. A command's own append has written it before; this is for events
/// of other writers, as `postgres-es`, and for a view that is made anew. Its commits do not wait for the
/// disk: the log's commits, which do, carry them along, and what is lost before comes again.
#[derive(Clone, Debug)]
pub struct MonitorViewWriter {
    pool: PgPool,
}

impl MonitorViewWriter {
    /// A writer over the given connections.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Those of the given events that the view has not taken in yet, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn missing<'a>(
        &self,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<Vec<&'a Event>, StoreError> {
        let events: Vec<(&Event, MonitorId)> =
            events.filter_map(|event| Some((event, event.monitor_id()?))).collect();
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let monitors: Vec<Uuid> = events.iter().map(|(_, monitor_id)| monitor_id.0).collect();
        let known: Vec<(Uuid, i64)> = sqlx::query_as(
            "select monitor_id, version from monitor_view where monitor_id = any($1)",
        )
        .bind(monitors)
        .fetch_all(&self.pool)
        .await?;
        let known: HashMap<Uuid, i64> = known.into_iter().collect();
        let is_missing = |(event, monitor_id): &(&Event, MonitorId)| {
            known.get(&monitor_id.0).is_none_or(|version| event.sequence > *version)
        };
        Ok(events.into_iter().filter(is_missing).map(|(event, _)| event).collect())
    }

    /// Applies an event of the log, whatever its aggregate.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when the event cannot be read, [`StoreError::Database`] otherwise.
    pub async fn apply(&self, event: &Event) -> Result<(), StoreError> {
        let (Monitor::AGGREGATE, Some(monitor_id)) =
            (event.aggregate_type.as_str(), event.monitor_id())
        else {
            return Ok(());
        };
        let decoded = event
            .monitor_event()
            .map_err(|source| StoreError::Unreadable { position: event.position.0, source })?;
        self.write(monitor_id, event.sequence, &decoded).await
    }

    async fn write(
        &self,
        monitor_id: MonitorId,
        version: i64,
        event: &MonitorEvent,
    ) -> Result<(), StoreError> {
        match event {
            MonitorEvent::MonitorRegistered { organization_id, config, .. } => {
                self.register(monitor_id, *organization_id, version, config).await
            }
            MonitorEvent::MonitorReconfigured { config } => {
                self.update(monitor_id, version, Some(config), None, None).await
            }
            MonitorEvent::MonitorPaused {} => {
                self.update(monitor_id, version, None, Some(true), None).await
            }
            MonitorEvent::MonitorResumed {} => {
                self.update(monitor_id, version, None, Some(false), None).await
            }
            MonitorEvent::MonitorArchived {} => {
                self.update(monitor_id, version, None, None, Some(true)).await
            }
        }
    }

    async fn register(
        &self,
        monitor_id: MonitorId,
        organization_id: OrganizationId,
        version: i64,
        config: &MonitorConfig,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into monitor_view (monitor_id, organization_id, version, name, config, paused,
                                       archived, registered_at, changed_at)
             select $1, $2, $3, $4, $5, false, false, recorded_at, recorded_at
             from events, (select set_config('synchronous_commit', 'off', true)) as unhurried
             where aggregate_type = 'monitor' and aggregate_id = $1::text and sequence = $3
             on conflict (monitor_id) do nothing",
        )
        .bind(monitor_id.0)
        .bind(organization_id.0)
        .bind(version)
        .bind(&config.name)
        .bind(Json(config))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Applies the next version to the one before it. An event that comes before its predecessor
    /// changes nothing: the log brings both again, in order.
    async fn update(
        &self,
        monitor_id: MonitorId,
        version: i64,
        config: Option<&MonitorConfig>,
        paused: Option<bool>,
        archived: Option<bool>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update monitor_view
             set version = $2, name = coalesce($3, name), config = coalesce($4, config),
                 paused = coalesce($5, paused), archived = coalesce($6, archived),
                 changed_at = event.recorded_at
             from events as event, (select set_config('synchronous_commit', 'off', true)) as unhurried
             where monitor_id = $1 and version = $2 - 1 and event.aggregate_type = 'monitor'
               and event.aggregate_id = $1::text and event.sequence = $2",
        )
        .bind(monitor_id.0)
        .bind(version)
        .bind(config.map(|config| &config.name))
        .bind(config.map(Json))
        .bind(paused)
        .bind(archived)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
