//! How far a reader of the log has come.

use pulsetrail_domain::Position;
use sqlx::PgExecutor;

use super::StoreError;

/// The last position that `consumer` made durable; [`Position::START`] of a new one.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_checkpoint(
    executor: impl PgExecutor<'_>,
    consumer: &str,
) -> Result<Position, StoreError> {
    let position: Option<i64> =
        sqlx::query_scalar("select position from checkpoints where consumer = $1")
            .bind(consumer)
            .fetch_optional(executor)
            .await?;
    Ok(Position(position.unwrap_or_default()))
}

/// Notes that `consumer` made everything up to `position` durable. A lower position than the one
/// noted changes nothing, so that a superseded copy cannot turn the clock back.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save_checkpoint(
    executor: impl PgExecutor<'_>,
    consumer: &str,
    position: Position,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into checkpoints (consumer, position) values ($1, $2)
         on conflict (consumer) do update
            set position = excluded.position, updated_at = clock_timestamp()
            where checkpoints.position < excluded.position",
    )
    .bind(consumer)
    .bind(position.0)
    .execute(executor)
    .await?;
    Ok(())
}
