//! Reading what happened to some monitors, or to all of an organization, in position order.

use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use sqlx::PgExecutor;

use super::read::{COLUMNS, bare_event, event};
use super::{Event, EventWithMetadata, StoreError};

/// At most `limit` events of the given monitors and their health after a position, in order. The
/// caller has made sure whose monitors they are.
///
/// The place is found without reading what lies before it: within an aggregate sequence and position
/// grow together, so a binary search over the primary key finds the first sequence after `after`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn read_monitors_after(
    executor: impl PgExecutor<'_>,
    monitors: &[MonitorId],
    after: Position,
    limit: i64,
) -> Result<Vec<EventWithMetadata>, StoreError> {
    let ids: Vec<String> = monitors.iter().map(ToString::to_string).collect();
    // Of each aggregate: everything up to `low` lies at or before the position, and everything from
    // `high` on behind it. A probe takes the next sequence that exists, for old ones may be archived.
    let query = format!(
        "with recursive place (type, id, low, high) as (
             select type, id, 0::bigint, 1 + coalesce((
                 select sequence from events where aggregate_type = type and aggregate_id = id
                 order by sequence desc limit 1), 0)
             from unnest($1::text[]) as id, unnest(array['monitor', 'health']) as type
             union all
             select type, id,
                    case when probe.position > $2 then low else probe.sequence end,
                    case when probe.position > $2 then (low + high) / 2 else high end
             from place cross join lateral (
                 select sequence, position from events
                 where aggregate_type = type and aggregate_id = id and sequence >= (low + high) / 2
                 order by sequence limit 1
             ) as probe
             where high - low > 1
         )
         select {COLUMNS} from (select type, id, max(low) as low from place group by type, id) as start
         cross join lateral (
             select * from events
             where aggregate_type = type and aggregate_id = id and sequence > low
             order by sequence limit $3
         ) as newer
         order by position limit $3"
    );
    let rows = sqlx::query(&query).bind(ids).bind(after.0).bind(limit).fetch_all(executor).await?;
    Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
}

/// At most `limit` events of an organization's monitors and their health after a position and up to
/// another, in order; where `monitors` are given, of those alone. An index leads to the organization's
/// events: those of others are not read.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn read_organization_between(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    monitors: Option<&[MonitorId]>,
    (after, through): (Position, Position),
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let ids: Option<Vec<String>> =
        monitors.map(|monitors| monitors.iter().map(ToString::to_string).collect());
    let query = format!(
        "select {COLUMNS} from events
         where organization_id = $1 and position > $2 and position <= $3
           and aggregate_type in ('monitor', 'health')
           and ($4::text[] is null or aggregate_id = any($4))
         order by position limit $5"
    );
    let rows = sqlx::query(&query)
        .bind(organization_id.0)
        .bind(after.0)
        .bind(through.0)
        .bind(ids)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    rows.iter().map(|row| Ok(bare_event(row)?)).collect()
}
