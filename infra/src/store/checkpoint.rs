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
/// noted changes nothing, so that a superseded copy cannot turn the clock back. It does not wait for the
/// disk, which commands wait for: a note that a crash of Postgres loses leads to work that is done again.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save_checkpoint(
    executor: impl PgExecutor<'_>,
    consumer: &str,
    position: Position,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into checkpoints (consumer, position)
         select $1, $2 from set_config('synchronous_commit', 'off', true)
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

/// Takes a checkpoint over for the holder of a lease with that epoch, and returns its position. From here
/// on nobody with an earlier epoch moves it.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn claim_checkpoint(
    executor: impl PgExecutor<'_>,
    consumer: &str,
    epoch: i64,
) -> Result<Position, StoreError> {
    let position: i64 = sqlx::query_scalar(
        "insert into checkpoints (consumer, position, epoch) values ($1, 0, $2)
         on conflict (consumer) do update
            set epoch = greatest(checkpoints.epoch, excluded.epoch)
         returning position",
    )
    .bind(consumer)
    .bind(epoch)
    .fetch_one(executor)
    .await?;
    Ok(Position(position))
}

/// As [`save_checkpoint`], for one who claimed the checkpoint with that epoch; false where somebody with
/// a later one has claimed it since, and nothing was changed.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn save_claimed_checkpoint(
    executor: impl PgExecutor<'_>,
    consumer: &str,
    epoch: i64,
    position: Position,
) -> Result<bool, StoreError> {
    let saved = sqlx::query(
        "update checkpoints
         set position = greatest(position, $3), epoch = $2, updated_at = clock_timestamp()
         from set_config('synchronous_commit', 'off', true)
         where consumer = $1 and epoch <= $2",
    )
    .bind(consumer)
    .bind(epoch)
    .bind(position.0)
    .execute(executor)
    .await?;
    Ok(saved.rows_affected() == 1)
}
