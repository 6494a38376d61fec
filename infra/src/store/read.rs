//! Reading the log: in position order, or one aggregate in sequence order.

use futures_util::TryStreamExt;
use pulsetrail_domain::Position;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgExecutor, Row};

use super::stored::{Stored, time_of};
use super::{Event, StoreError};

/// An event with who caused it and why.
#[derive(Clone, Debug, serde::Serialize)]
pub struct EventWithMetadata {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Actor, organization, request id, causation; empty where all of it can be derived.
    pub metadata: Box<RawValue>,
}

/// What [`event`] reads, in this order.
pub(super) const COLUMNS: &str = "position, organization_id, aggregate_type, aggregate_id, sequence, \
                       event_type, event_version, recorded_at, payload, metadata";

/// The events after position `$1`, at most `$2`, in order.
const READ_AFTER: &str = "select position, organization_id, aggregate_type, \
     aggregate_id, sequence, event_type, event_version, recorded_at, payload
     from events where position > $1 order by position limit $2";

/// The position of the newest event; [`Position::START`] of an empty log.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn head(executor: impl PgExecutor<'_>) -> Result<Position, StoreError> {
    let newest: Option<i64> =
        sqlx::query_scalar("select max(position) from events").fetch_one(executor).await?;
    Ok(Position(newest.unwrap_or_default()))
}

/// The position of the newest event before a position; [`Position::START`] where there is none.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn position_before(
    executor: impl PgExecutor<'_>,
    position: Position,
) -> Result<Position, StoreError> {
    let before: Option<i64> =
        sqlx::query_scalar("select max(position) from events where position < $1")
            .bind(position.0)
            .fetch_one(executor)
            .await?;
    Ok(Position(before.unwrap_or_default()))
}

/// How much of the log a reader has not reached.
pub(crate) struct Unpublished {
    /// Positions after its own; a rolled-back append leaves some unused.
    pub(crate) events: i64,
    /// How long ago the first event after its own was stored.
    pub(crate) seconds: f64,
}

/// What lies after a position.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn unpublished(
    executor: impl PgExecutor<'_>,
    after: Position,
) -> Result<Unpublished, StoreError> {
    let (newest, seconds): (Option<i64>, Option<f64>) = sqlx::query_as(
        "select (select max(position) from events),
                (select case when isfinite(recorded_at)
                         then extract(epoch from clock_timestamp() - recorded_at)::float8 end
                 from events where position > $1 order by position limit 1)",
    )
    .bind(after.0)
    .fetch_one(executor)
    .await?;
    let events = (newest.unwrap_or_default() - after.0).max(0);
    Ok(Unpublished { events, seconds: seconds.unwrap_or_default().max(0.0) })
}

/// At most `limit` events after a position, in order. Fewer than `limit` means that the log ended
/// there.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn read_after(
    executor: impl PgExecutor<'_>,
    after: Position,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let rows = sqlx::query(READ_AFTER).bind(after.0).bind(limit).fetch_all(executor).await?;
    rows.iter().map(|row| Ok(bare_event(row)?)).collect()
}

/// The events at the given positions, in order; where there is none, none.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn read_at(
    executor: impl PgExecutor<'_>,
    positions: &[i64],
) -> Result<Vec<Event>, StoreError> {
    let query = format!("select {COLUMNS} from events where position = any($1) order by position");
    let rows = sqlx::query(&query).bind(positions).fetch_all(executor).await?;
    rows.iter().map(|row| Ok(bare_event(row)?)).collect()
}

/// The monitors whose events, or whose health's, lie after a position and up to another.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn monitors_between(
    executor: impl PgExecutor<'_>,
    after: Position,
    through: Position,
) -> Result<Vec<String>, StoreError> {
    let ids = sqlx::query_scalar(
        "select distinct aggregate_id from events
         where position > $1 and position <= $2 and aggregate_type in ('monitor', 'health')",
    );
    Ok(ids.bind(after.0).bind(through.0).fetch_all(executor).await?)
}

/// At most `limit` events of one aggregate after a sequence, in order.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn read_aggregate(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    aggregate_id: &str,
    after_sequence: i64,
    limit: i64,
) -> Result<Vec<EventWithMetadata>, StoreError> {
    let query = format!(
        "select {COLUMNS} from events
         where aggregate_type = $1 and aggregate_id = $2 and sequence > $3
         order by sequence limit $4"
    );
    let rows = sqlx::query(&query)
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(after_sequence)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
}

/// Hands every event of many aggregates of one type to `apply`: of each (id, sequence) those after the
/// sequence, each aggregate's in order.
///
/// # Errors
/// [`StoreError::Database`]; `apply` may have seen some events by then.
pub async fn read_aggregates(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    after: &[(String, i64)],
    mut apply: impl FnMut(Event),
) -> Result<(), StoreError> {
    let (ids, sequences): (Vec<&str>, Vec<i64>) =
        after.iter().map(|(id, sequence)| (id.as_str(), *sequence)).unzip();
    let query = format!(
        "select {COLUMNS} from unnest($2::text[], $3::bigint[]) as wanted (id, after)
         cross join lateral (
             select * from events
             where aggregate_type = $1 and aggregate_id = wanted.id and sequence > wanted.after
             order by sequence
         ) as newer"
    );
    let mut rows =
        sqlx::query(&query).bind(aggregate_type).bind(ids).bind(sequences).fetch(executor);
    while let Some(row) = rows.try_next().await? {
        apply(bare_event(&row)?);
    }
    Ok(())
}

/// Reads a row that begins with [`COLUMNS`].
pub(crate) fn event(row: &PgRow) -> Result<EventWithMetadata, sqlx::Error> {
    let Json(metadata) = row.try_get("metadata")?;
    Ok(EventWithMetadata { event: bare_event(row)?, metadata })
}

/// The same without the metadata, which need not be among the columns. The columns are found by their
/// place, that of [`COLUMNS`]: by name would take as long as everything else.
pub(super) fn bare_event(row: &PgRow) -> Result<Event, sqlx::Error> {
    let stored = Stored {
        position: row.try_get(0)?,
        organization_id: row.try_get(1)?,
        aggregate_type: row.try_get(2)?,
        aggregate_id: row.try_get(3)?,
        sequence: row.try_get(4)?,
        event_type: row.try_get(5)?,
        event_version: row.try_get(6)?,
        recorded_at: time_of(row.try_get_unchecked(7)?),
        // A `json` value travels as its text.
        payload: row.try_get_unchecked(8)?,
    };
    stored.event().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
