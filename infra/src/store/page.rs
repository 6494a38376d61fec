//! Reading every aggregate of one type, page by page.

use sqlx::PgExecutor;

use super::read::event;
use super::{Event, EventWithMetadata, StoreError};

/// At most `limit` events of all aggregates of one type, by aggregate id and then by sequence: those
/// after the given (id, sequence), or the first ones after `("", 0)`. Pages of one snapshot belong in
/// one transaction. Fewer than `limit` means that there are no more.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn read_page_of_type(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    after: (&str, i64),
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let page = read_page_with_metadata(executor, aggregate_type, after, limit).await?;
    Ok(page.into_iter().map(|stored| stored.event).collect())
}

/// The same with who caused each event and why.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn read_page_with_metadata(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    after: (&str, i64),
    limit: i64,
) -> Result<Vec<EventWithMetadata>, StoreError> {
    // The row comparison and the order are those of the primary key.
    let rows = sqlx::query(
        "select position, organization_id, aggregate_type, aggregate_id, sequence,
                event_type, event_version, recorded_at, payload, metadata
         from events
         where aggregate_type = $1 and (aggregate_id, sequence) > ($2, $3)
         order by aggregate_id, sequence
         limit $4",
    )
    .bind(aggregate_type)
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .fetch_all(executor)
    .await?;
    Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
}
