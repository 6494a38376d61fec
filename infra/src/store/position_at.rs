//! Which position the log had reached at a moment.

use pulsetrail_domain::{Position, Timestamp, timestamp_from_millis};
use sqlx::PgPool;

use super::StoreError;

/// The end of the year 2199, in ms since the epoch.
const LATEST_MS: i64 = 7_258_118_399_999;

/// The newest position that was recorded at or before a moment; [`Position::START`] if there is none.
///
/// It is a binary search over positions. When the clock went back, a moment was there twice; the later time
/// counts. The stretches of the log between two setbacks are therefore searched from the newest on.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn position_at(pool: &PgPool, moment: Timestamp) -> Result<Position, StoreError> {
    // Nothing was recorded before, and Postgres knows fewer years than a caller may name.
    let moment = moment.max(Timestamp::UNIX_EPOCH).min(timestamp_from_millis(LATEST_MS));
    let setbacks: Vec<i64> =
        sqlx::query_scalar("select position from clock_setbacks order by position desc")
            .fetch_all(pool)
            .await?;
    let begins = setbacks.iter().copied().chain([0]);
    let ends = [i64::MAX].into_iter().chain(setbacks.iter().copied());
    for (after, through) in begins.zip(ends) {
        let found = newest_within(pool, moment, (after, through)).await?;
        if let Some(position) = found {
            return Ok(Position(position));
        }
    }
    Ok(Position::START)
}

/// The newest position after `after` and up to `through` that was recorded at or before the moment. Within
/// these the times grow with the positions.
async fn newest_within(
    pool: &PgPool,
    moment: Timestamp,
    (after, through): (i64, i64),
) -> Result<Option<i64>, StoreError> {
    let newest = sqlx::query_scalar(
        "with recursive place (low, high) as (
             -- Up to low all are at or before the moment, from high on none is.
             select $2::bigint, 1 + coalesce((
                 select position from events where position > $2 and position <= $3
                 order by position desc limit 1), $2)
             union all
             select case when probe.is_before then probe.position else low end,
                    case when probe.is_before then high else low + (high - low) / 2 end
             from place cross join lateral (
                 select coalesce(max(position), high) as position,
                        coalesce(bool_and(recorded_at <= $1), false) as is_before
                 from (select position, recorded_at from events
                       where position >= low + (high - low) / 2 and position < high
                       order by position limit 1) as first
             ) as probe
             where high - low > 1
         )
         select nullif(max(low), $2) from place",
    )
    .bind(moment)
    .bind(after)
    .bind(through)
    .fetch_one(pool)
    .await?;
    Ok(newest)
}
