//! Whether a check was recorded before, for checks that are older than what a `health` aggregate
//! remembers.
//!
//! A monitor can have tens of millions of checks, and an index over their slots would cost every row.
//! None is needed, because the order of the log leads to a slot. A check is recorded after its slot
//! began. And as long as fewer than [`REMEMBERED_SLOTS`] later slots of its region are recorded, it is
//! still among the remembered ones; whoever comes after that is late, and asks here first. So a slot
//! lies between the moment it began and the 64th later slot, or else it was late.
//!
//! Within a stretch of the log in which the database's clock only went forward, a moment is found by a binary
//! search. Where the clock went back is noted in `clock_setbacks`, and each stretch is searched by itself: see
//! [`stretches`].
//!
//! The late ones, and others that the order does not lead to (checks on demand, which have no slot, and
//! checks of a slot that was ahead of the recorder's clock), are noted in `irregular_checks` by the
//! transaction that records them.

use std::collections::HashSet;

use chrono::Duration;
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::health::{Health, HealthEvent, REMEMBERED_SLOTS};
use pulsetrail_domain::{CheckId, MonitorId, Region, Timestamp};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{DecodeError, Event, StoreError, read_aggregate};

/// How far the clocks of the schedulers and recorders may be apart from that of the database.
const CLOCK_SKEW: Duration = Duration::minutes(5);
const PAGE: i64 = 500;

/// Notes checks that the order of the log does not lead to, in the transaction that records them.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn note_irregular_checks(
    transaction: &mut PgConnection,
    checks: &[(MonitorId, CheckId)],
) -> Result<(), StoreError> {
    if checks.is_empty() {
        return Ok(());
    }
    let (monitors, checks): (Vec<Uuid>, Vec<Uuid>) =
        checks.iter().map(|(monitor, check)| (monitor.0, check.0)).unzip();
    sqlx::query(
        "insert into irregular_checks (monitor_id, check_id)
         select * from unnest($1::uuid[], $2::uuid[])
         on conflict (monitor_id, check_id) do nothing",
    )
    .bind(monitors)
    .bind(checks)
    .execute(transaction)
    .await?;
    Ok(())
}

/// A slot that is looked for.
struct Sought<'a> {
    check_id: CheckId,
    region: &'a Region,
    scheduled_at: Timestamp,
    /// Later slots of the region that were met.
    later: usize,
}

impl Sought<'_> {
    /// It was not recorded before this moment.
    fn begins(&self) -> Timestamp {
        self.scheduled_at - CLOCK_SKEW
    }
}

/// What a look into the store found.
#[derive(Debug, Default)]
pub struct RecordedBefore {
    /// Those of the checks that were recorded.
    pub checks: HashSet<CheckId>,
    /// Events that were passed over because they cannot be read, and why: a check that one of them stands
    /// for counts as not recorded.
    pub unreadable: Vec<(Event, DecodeError)>,
}

/// Which of the given checks of a monitor were recorded before.
///
/// # Errors
/// [`StoreError`]: nothing is known then.
pub async fn recorded_before(
    pool: &PgPool,
    monitor: MonitorId,
    wanted: &[&CheckResult],
) -> Result<RecordedBefore, StoreError> {
    let ids: Vec<Uuid> = wanted.iter().map(|result| result.check_id.0).collect();
    let noted: Vec<Uuid> = sqlx::query_scalar(
        "select check_id from irregular_checks where monitor_id = $1 and check_id = any($2)",
    )
    .bind(monitor.0)
    .bind(ids)
    .fetch_all(pool)
    .await?;
    let checks = noted.into_iter().map(CheckId).collect();
    let mut found = RecordedBefore { checks, unreadable: Vec::new() };
    let sought = wanted
        .iter()
        .filter(|result| !result.is_on_demand() && !found.checks.contains(&result.check_id))
        .map(|result| Sought {
            check_id: result.check_id,
            region: &result.region,
            scheduled_at: result.scheduled_at,
            later: 0,
        })
        .collect();
    search(pool, &monitor.to_string(), sought, &mut found).await?;
    Ok(found)
}

/// The result of a check on demand that may have been recorded.
///
/// # Errors
/// [`StoreError`]: nothing is known then.
pub async fn recorded_on_demand(
    pool: &PgPool,
    monitor: MonitorId,
    check_id: CheckId,
) -> Result<Option<CheckResult>, StoreError> {
    let noted: bool = sqlx::query_scalar(
        "select exists (select from irregular_checks where monitor_id = $1 and check_id = $2)",
    )
    .bind(monitor.0)
    .bind(check_id.0)
    .fetch_one(pool)
    .await?;
    let asked_at = check_id.0.get_timestamp().and_then(|at| {
        let (seconds, nanoseconds) = at.to_unix();
        Timestamp::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    let (true, Some(asked_at)) = (noted, asked_at) else { return Ok(None) };
    let aggregate_id = monitor.to_string();
    let begins = asked_at - CLOCK_SKEW;
    for stretch in stretches(pool, begins).await? {
        let mut sequence = sequence_before(pool, &aggregate_id, begins, stretch).await?;
        loop {
            let page = read_stretch(pool, &aggregate_id, sequence, stretch).await?;
            for event in &page.events {
                match event.health_event() {
                    Ok(HealthEvent::CheckCompleted(result)) if result.check_id == check_id => {
                        return Ok(Some(*result));
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(
                        event.position = event.position.0,
                        %error,
                        "an event was passed over in the search for a check on demand"
                    ),
                }
            }
            match page.next {
                Some(next) => sequence = next,
                None => break,
            }
        }
    }
    Ok(None)
}

async fn search(
    pool: &PgPool,
    aggregate_id: &str,
    mut sought: Vec<Sought<'_>>,
    found: &mut RecordedBefore,
) -> Result<(), StoreError> {
    sought.sort_by_key(|slot| slot.scheduled_at);
    let Some(begins) = sought.first().map(Sought::begins) else { return Ok(()) };
    for stretch in stretches(pool, begins).await? {
        search_stretch(pool, aggregate_id, stretch, &mut sought, found).await?;
    }
    Ok(())
}

async fn search_stretch(
    pool: &PgPool,
    aggregate_id: &str,
    stretch: Stretch,
    sought: &mut Vec<Sought<'_>>,
    found: &mut RecordedBefore,
) -> Result<(), StoreError> {
    let mut sequence = 0;
    while let Some(begins) = sought.first().map(Sought::begins) {
        sequence = sequence_before(pool, aggregate_id, begins, stretch).await?.max(sequence);
        // Page by page, until the next slot can only lie far ahead.
        while sought.first().is_some_and(|first| first.begins() <= begins) {
            let page = read_stretch(pool, aggregate_id, sequence, stretch).await?;
            for event in page.events {
                match event.health_event() {
                    Ok(HealthEvent::CheckCompleted(result)) => {
                        meet(&result, sought, &mut found.checks);
                    }
                    Ok(_) => {}
                    Err(error) => found.unreadable.push((event, error)),
                }
            }
            match page.next {
                Some(next) => sequence = next,
                None => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Takes a recorded check into account: it is one of those sought, or later than some of them.
fn meet(result: &CheckResult, sought: &mut Vec<Sought<'_>>, found: &mut HashSet<CheckId>) {
    if result.is_on_demand() {
        return;
    }
    sought.retain_mut(|slot| {
        if *slot.region != result.region || slot.scheduled_at > result.scheduled_at {
            return true;
        }
        if slot.scheduled_at == result.scheduled_at {
            found.insert(slot.check_id);
            return false;
        }
        slot.later += 1;
        slot.later < REMEMBERED_SLOTS
    });
}

/// A part of the log: the positions after `after` and up to `through`. Of the times at which its events were
/// recorded, those before a moment come before those from that moment on.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    after: i64,
    through: i64,
}

/// The stretches of the log that can hold events recorded at or after a moment, in the order of the log. One that
/// ended before the moment is part of the next one.
async fn stretches(pool: &PgPool, moment: Timestamp) -> Result<Vec<Stretch>, StoreError> {
    let ends: Vec<i64> = sqlx::query_scalar(
        "select position from clock_setbacks where recorded_at >= $1 order by position",
    )
    .bind(moment)
    .fetch_all(pool)
    .await?;
    let begins = [0].into_iter().chain(ends.iter().copied());
    let ends = ends.iter().copied().chain([i64::MAX]);
    Ok(begins.zip(ends).map(|(after, through)| Stretch { after, through }).collect())
}

/// Events of an aggregate within a stretch.
struct StretchPage {
    events: Vec<Event>,
    /// The sequence after which the next page begins; none at the end of the stretch.
    next: Option<i64>,
}

async fn read_stretch(
    pool: &PgPool,
    aggregate_id: &str,
    sequence: i64,
    stretch: Stretch,
) -> Result<StretchPage, StoreError> {
    let page = read_aggregate(pool, Health::AGGREGATE, aggregate_id, sequence, PAGE).await?;
    let is_full = page.len() as i64 == PAGE;
    let mut events: Vec<Event> = page.into_iter().map(|stored| stored.event).collect();
    let last = events.last().map(|last| (last.sequence, last.position.0));
    events.retain(|event| event.position.0 <= stretch.through);
    let next = last.filter(|(_, position)| is_full && *position <= stretch.through);
    Ok(StretchPage { events, next: next.map(|(sequence, _)| sequence) })
}

/// The sequence of the last event of an aggregate that lies before the stretch, or within it and was recorded
/// before a moment; 0 where there is none. A binary search: within an aggregate, sequence and position grow
/// together, and within a stretch the time with them.
async fn sequence_before(
    pool: &PgPool,
    aggregate_id: &str,
    moment: Timestamp,
    stretch: Stretch,
) -> Result<i64, StoreError> {
    let sequence = sqlx::query_scalar(
        "with recursive place (low, high) as (
             select 0::bigint, 1 + coalesce((
                 select sequence from events where aggregate_type = $1 and aggregate_id = $2
                 order by sequence desc limit 1), 0)
             union all
             select case when probe.is_after then low else probe.sequence end,
                    case when probe.is_after then (low + high) / 2 else high end
             from place cross join lateral (
                 select sequence, position > $5 or position > $4 and recorded_at >= $3 as is_after
                 from events
                 where aggregate_type = $1 and aggregate_id = $2 and sequence >= (low + high) / 2
                 order by sequence limit 1
             ) as probe
             where high - low > 1
         )
         select max(low) from place",
    )
    .bind(Health::AGGREGATE)
    .bind(aggregate_id)
    .bind(moment)
    .bind(stretch.after)
    .bind(stretch.through)
    .fetch_one(pool)
    .await?;
    Ok(sequence)
}
