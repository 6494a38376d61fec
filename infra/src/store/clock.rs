//! The database's clock: the one that all processes of a cell share.

use pulsetrail_domain::{Timestamp, timestamp_from_millis};
use sqlx::PgExecutor;

use super::StoreError;

/// What time it is, to the millisecond, by the database's clock.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn database_time(executor: impl PgExecutor<'_>) -> Result<Timestamp, StoreError> {
    let now: Timestamp = sqlx::query_scalar("select clock_timestamp()").fetch_one(executor).await?;
    Ok(timestamp_from_millis(now.timestamp_millis()))
}
