//! Snapshots: the state of an aggregate at a version. They only save time; the events are the truth.

use sqlx::PgExecutor;

use super::StoreError;

/// An aggregate's state, as JSON, at a version.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which aggregate.
    pub aggregate_id: String,
    /// The version of the state.
    pub sequence: i64,
    /// The state, as JSON.
    pub state: String,
}

/// The snapshots that exist of the named aggregates.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_snapshots(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    aggregate_ids: &[String],
) -> Result<Vec<Snapshot>, StoreError> {
    let rows: Vec<(String, i64, String)> = sqlx::query_as(
        "select aggregate_id, sequence, state::text from snapshots
         where aggregate_type = $1 and aggregate_id = any($2)",
    )
    .bind(aggregate_type)
    .bind(aggregate_ids)
    .fetch_all(executor)
    .await?;
    let snapshot = |(aggregate_id, sequence, state)| Snapshot { aggregate_id, sequence, state };
    Ok(rows.into_iter().map(snapshot).collect())
}

/// Keeps snapshots of what is committed.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save_snapshots(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    snapshots: &[Snapshot],
) -> Result<(), StoreError> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = snapshots.iter().map(|one| one.aggregate_id.as_str()).collect();
    let sequences: Vec<i64> = snapshots.iter().map(|one| one.sequence).collect();
    let states: Vec<&str> = snapshots.iter().map(|one| one.state.as_str()).collect();
    sqlx::query(
        "insert into snapshots (aggregate_type, aggregate_id, sequence, state)
         select $1, new.id, new.sequence, new.state::json
         from unnest($2::text[], $3::bigint[], $4::text[]) as new (id, sequence, state)
         on conflict (aggregate_type, aggregate_id) do update
            set sequence = excluded.sequence, state = excluded.state
            where snapshots.sequence < excluded.sequence",
    )
    .bind(aggregate_type)
    .bind(ids)
    .bind(sequences)
    .bind(states)
    .execute(executor)
    .await?;
    Ok(())
}
