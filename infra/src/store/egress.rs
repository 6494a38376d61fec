//! What the shield refused: the audit log of each organization, and its counts.

use std::collections::HashMap;

use pulsetrail_domain::egress::EgressEvent;
use pulsetrail_domain::{OrganizationId, Timestamp};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};

use super::read::{COLUMNS, event};
use super::{EventWithMetadata, NewEvent, StoreError};

impl NewEvent {
    /// An event of the shield, as it is stored: its own fields without its name.
    ///
    /// # Errors
    /// None for the events that there are; serde's signature asks for it.
    pub fn egress(event: &EgressEvent) -> Result<Self, serde_json::Error> {
        let mut tagged = serde_json::to_value(event)?;
        let own = tagged.get_mut(event.name()).map(Value::take).unwrap_or_default();
        Ok(Self {
            event_type: event.name(),
            event_version: event.version(),
            payload: own.to_string(),
        })
    }
}

/// Appends refusals to the logs of their organizations and counts them. `metadata` says who asked, where
/// somebody did. With a pool it is a transaction of its own; with a connection it is part of the
/// caller's, which holds the lock of the log until its end.
///
/// # Errors
/// [`StoreError::Database`]; then nothing is stored once the transaction is dropped.
pub async fn append_refusals(
    executor: impl PgExecutor<'_>,
    refusals: &[(OrganizationId, EgressEvent)],
    metadata: &HashMap<String, String>,
) -> Result<(), StoreError> {
    let events =
        refusals.iter().map(|(_, event)| NewEvent::egress(event)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query("select egress_append($1, $2, $3, $4, $5::json)")
        .bind(refusals.iter().map(|(organization, _)| organization.0).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_type).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_version).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.payload.as_str()).collect::<Vec<_>>())
        .bind(Json(metadata))
        .execute(executor)
        .await?;
    Ok(())
}

/// Counts refusals that are not appended, because the logs of their organizations take so many a minute.
///
/// # Errors
/// [`StoreError::Database`]; then nothing is counted once the transaction is dropped.
pub async fn count_unlogged_refusals(
    executor: impl PgExecutor<'_>,
    refusals: &[(OrganizationId, EgressEvent)],
) -> Result<(), StoreError> {
    let range = |event: &EgressEvent| {
        let EgressEvent::EgressBlocked { range, .. } = event;
        range.clone()
    };
    sqlx::query(
        "insert into egress_counts as counts
         select organization, range, count(*), clock_timestamp()
         from unnest($1::uuid[], $2::text[]) as new (organization, range)
         group by organization, range order by organization, range
         on conflict (organization_id, range) do update
             set blocked = counts.blocked + excluded.blocked,
                 last_blocked_at = excluded.last_blocked_at",
    )
    .bind(refusals.iter().map(|(organization, _)| organization.0).collect::<Vec<_>>())
    .bind(refusals.iter().map(|(_, event)| range(event)).collect::<Vec<_>>())
    .execute(executor)
    .await?;
    Ok(())
}

/// At most `limit` of an organization's refusals, newest first: those before the sequence `before`.
///
/// # Errors
/// [`StoreError`].
pub async fn read_refusals(
    pool: &PgPool,
    organization_id: OrganizationId,
    before: i64,
    limit: i64,
) -> Result<Vec<EventWithMetadata>, StoreError> {
    let query = format!(
        "select {COLUMNS} from events
         where aggregate_type = $1 and aggregate_id = $2 and sequence < $3
         order by sequence desc limit $4"
    );
    let rows = sqlx::query(&query)
        .bind(EgressEvent::AGGREGATE)
        .bind(organization_id.to_string())
        .bind(before)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
}

/// How often each range was refused to an organization, and when last.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn count_refusals(
    pool: &PgPool,
    organization_id: OrganizationId,
) -> Result<HashMap<String, (i64, Timestamp)>, StoreError> {
    let rows: Vec<(String, i64, Timestamp)> = sqlx::query_as(
        "select range, blocked, last_blocked_at from egress_counts where organization_id = $1",
    )
    .bind(organization_id.0)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|(range, blocked, last)| (range, (blocked, last))).collect())
}
