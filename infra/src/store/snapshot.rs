//! Snapshots: the state of an aggregate at a version. They only save time; the events are the truth.
//!
//! A state is what one version of the aggregate's fold made of the events. A program with another fold
//! ignores it and makes a new one.

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

/// The snapshots of the named aggregates that were made by the given version of their fold.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn load_snapshots(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    fold_version: i32,
    aggregate_ids: &[String],
) -> Result<Vec<Snapshot>, StoreError> {
    let rows: Vec<(String, i64, String)> = sqlx::query_as(
        "select aggregate_id, sequence, state::text from snapshots
         where aggregate_type = $1 and aggregate_id = any($2) and fold_version = $3",
    )
    .bind(aggregate_type)
    .bind(aggregate_ids)
    .bind(fold_version)
    .fetch_all(executor)
    .await?;
    let snapshot = |(aggregate_id, sequence, state)| Snapshot { aggregate_id, sequence, state };
    Ok(rows.into_iter().map(snapshot).collect())
}

/// Keeps snapshots of what is committed, made by the given version of the fold. One of another version is
/// replaced whatever it stands at.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save_snapshots(
    executor: impl PgExecutor<'_>,
    aggregate_type: &str,
    fold_version: i32,
    snapshots: &[Snapshot],
) -> Result<(), StoreError> {
    if snapshots.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = snapshots.iter().map(|one| one.aggregate_id.as_str()).collect();
    let sequences: Vec<i64> = snapshots.iter().map(|one| one.sequence).collect();
    let states: Vec<&str> = snapshots.iter().map(|one| one.state.as_str()).collect();
    sqlx::query(
        "insert into snapshots (aggregate_type, aggregate_id, sequence, state, fold_version)
         select $1, new.id, new.sequence, new.state::json, $5
         from unnest($2::text[], $3::bigint[], $4::text[]) as new (id, sequence, state)
         on conflict (aggregate_type, aggregate_id) do update
            set sequence = excluded.sequence, state = excluded.state,
                fold_version = excluded.fold_version
            where snapshots.sequence < excluded.sequence
               or snapshots.fold_version <> excluded.fold_version",
    )
    .bind(aggregate_type)
    .bind(ids)
    .bind(sequences)
    .bind(states)
    .bind(fold_version)
    .execute(executor)
    .await?;
    Ok(())
}
