//! Reading the log: in position order, or one aggregate in sequence order.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use pulsetrail_domain::{OrganizationId, Position};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgExecutor, Row};

use super::upcast::to_current;
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

pub(super) const COLUMNS: &str = "position, organization_id, aggregate_type, aggregate_id, sequence, \
                       event_type, event_version, recorded_at, payload, metadata";

/// The position of the newest event; [`Position::START`] of an empty log.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn head(executor: impl PgExecutor<'_>) -> Result<Position, StoreError> {
    let newest: Option<i64> =
        sqlx::query_scalar("select max(position) from events").fetch_one(executor).await?;
    Ok(Position(newest.unwrap_or_default()))
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
    let query =
        format!("select {COLUMNS} from events where position > $1 order by position limit $2");
    let rows = sqlx::query(&query).bind(after.0).bind(limit).fetch_all(executor).await?;
    rows.iter().map(|row| Ok(event(row)?.event)).collect()
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
        apply(event(&row)?.event);
    }
    Ok(())
}

/// Reads a row that has the columns of `events`.
pub(crate) fn event(row: &PgRow) -> Result<EventWithMetadata, sqlx::Error> {
    let event_type: String = row.try_get("event_type")?;
    let Json(payload) = row.try_get::<Json<Box<RawValue>>, _>("payload")?;
    let Json(metadata) = row.try_get("metadata")?;
    let event = to_current(Event {
        position: Position(row.try_get("position")?),
        organization_id: OrganizationId(row.try_get("organization_id")?),
        aggregate_type: row.try_get("aggregate_type")?,
        aggregate_id: row.try_get("aggregate_id")?,
        sequence: row.try_get("sequence")?,
        event_version: row.try_get("event_version")?,
        recorded_at: row.try_get("recorded_at")?,
        payload: without_tag(payload, &event_type),
        event_type,
    });
    Ok(EventWithMetadata { event, metadata })
}

/// `postgres-es` stores `{"MonitorPaused": {…}}`, the name once more around the event's own fields.
fn without_tag(payload: Box<RawValue>, event_type: &str) -> Box<RawValue> {
    let begins_with_tag = payload
        .get()
        .trim_start_matches(['{', ' ', '"'])
        .strip_prefix(event_type)
        .is_some_and(|rest| rest.starts_with('"'));
    if begins_with_tag
        && let Ok(mut tagged) = serde_json::from_str::<HashMap<&str, Box<RawValue>>>(payload.get())
        && let (1, Some(own)) = (tagged.len(), tagged.remove(event_type))
    {
        return own;
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_around_a_payload_is_taken_off() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let bare = |text: &str| without_tag(raw(text), "WentDown").get().to_owned();
        assert_eq!(bare(r#"{"WentDown":{"a":1}}"#), r#"{"a":1}"#);
        assert_eq!(bare(r#"{"WentDown": {"a": 1}}"#), r#"{"a": 1}"#);
        assert_eq!(bare(r#"{"WentDown":1,"b":2}"#), r#"{"WentDown":1,"b":2}"#);
        assert_eq!(bare(r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
