//! How far the scheduler has come, for the copy that takes over.

use pulsetrail_domain::Position;
use sqlx::PgExecutor;

use super::StoreError;

/// Of each monitor as its events up to `position` say, every slot up to `through_ms` was emitted or
/// counted as dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerProgress {
    /// A moment, in ms since the epoch.
    pub through_ms: i64,
    /// The newest event that was taken into account.
    pub position: Position,
}

/// Reads what the last active scheduler noted; none before the first one.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_scheduler_progress(
    executor: impl PgExecutor<'_>,
) -> Result<Option<SchedulerProgress>, StoreError> {
    let noted: Option<(i64, i64)> =
        sqlx::query_as("select through_ms, position from scheduler_progress")
            .fetch_optional(executor)
            .await?;
    Ok(noted.map(|(through_ms, position)| SchedulerProgress {
        through_ms,
        position: Position(position),
    }))
}

/// Notes how far the holder of the lease with that epoch has come; changes nothing if a later holder has
/// noted something. It does not wait for the disk: what a crash of Postgres loses is emitted again.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save_scheduler_progress(
    executor: impl PgExecutor<'_>,
    epoch: i64,
    progress: SchedulerProgress,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into scheduler_progress (through_ms, position, epoch)
         select $1, $2, $3 from set_config('synchronous_commit', 'off', true)
         on conflict (only_row) do update
            set through_ms = excluded.through_ms, position = excluded.position,
                epoch = excluded.epoch
            where scheduler_progress.epoch <= excluded.epoch",
    )
    .bind(progress.through_ms)
    .bind(progress.position.0)
    .bind(epoch)
    .execute(executor)
    .await?;
    Ok(())
}
