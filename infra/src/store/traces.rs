//! The traces that events are parts of, for the headers of their messages.
//!
//! What people ask for keeps its trace in the event's metadata. A check of the schedule is a trace of
//! its own, derived from its id; that of a check on demand came from outside and is kept beside.

use std::collections::HashMap;

use pulsetrail_domain::CheckId;
use pulsetrail_domain::egress::EgressEvent;
use pulsetrail_domain::health::Health;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::{Event, StoreError};
use crate::trace::Traceparent;

/// Keeps the trace that a check on demand is a part of; the first one where it is asked for again.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn save_check_trace(
    executor: impl PgExecutor<'_>,
    check_id: CheckId,
    trace: &Traceparent,
) -> Result<(), StoreError> {
    // Kept for as long as the topic keeps the event; a few old ones go with each new one.
    sqlx::query(
        "with old as (
             delete from check_traces where ctid = any(array(
                 select ctid from check_traces
                 where created_at < clock_timestamp() - interval '7 days' limit 10
                 for update skip locked))
         )
         insert into check_traces (check_id, traceparent) values ($1, $2)
         on conflict (check_id) do nothing",
    )
    .bind(check_id.0)
    .bind(trace.as_str())
    .execute(executor)
    .await?;
    Ok(())
}

/// The trace of each event of a page; none of one that no request and no check led to. Where all of them
/// come from checks of the schedule the store is not asked.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn traces_of(
    pool: &PgPool,
    page: &[Event],
) -> Result<Vec<Option<Traceparent>>, StoreError> {
    let checks: Vec<Option<CheckId>> = page.iter().map(check_of).collect();
    let on_demand: Vec<Uuid> = checks
        .iter()
        .flatten()
        .filter(|check| is_on_demand(**check))
        .map(|check| check.0)
        .collect();
    let others: Vec<i64> = page
        .iter()
        .filter(|event| !comes_from_a_check(event))
        .map(|event| event.position.0)
        .collect();
    let of_checks: HashMap<Uuid, String> = look_up(
        pool,
        "select check_id, traceparent from check_traces where check_id = any($1)",
        &on_demand,
    )
    .await?;
    let of_others: HashMap<i64, String> = look_up(
        pool,
        "select position, metadata ->> 'traceparent' from events
         where position = any($1) and metadata ->> 'traceparent' is not null",
        &others,
    )
    .await?;
    let trace = |(event, check): (&Event, Option<CheckId>)| match check {
        Some(check) => of_checks
            .get(&check.0)
            .and_then(|kept| Traceparent::parse(kept))
            .or_else(|| Some(Traceparent::of_check(check))),
        None => of_others.get(&event.position.0).and_then(|kept| Traceparent::parse(kept)),
    };
    Ok(page.iter().zip(checks).map(trace).collect())
}

/// What a query says of each of `keys`; it is not asked for none.
async fn look_up<K>(
    pool: &PgPool,
    query: &str,
    keys: &[K],
) -> Result<HashMap<K, String>, StoreError>
where
    K: Eq + std::hash::Hash + Send + Sync + Unpin,
    for<'a> &'a [K]: sqlx::Encode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    for<'r> K: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(K, String)> = sqlx::query_as(query).bind(keys).fetch_all(pool).await?;
    Ok(rows.into_iter().collect())
}

/// Events of these aggregates keep no trace themselves.
fn comes_from_a_check(event: &Event) -> bool {
    [Health::AGGREGATE, EgressEvent::AGGREGATE].contains(&event.aggregate_type.as_str())
}

/// The check that an event comes from.
fn check_of(event: &Event) -> Option<CheckId> {
    const FIELD: &str = "\"check_id\":\"";
    if !comes_from_a_check(event) {
        return None;
    }
    // Read out of the text: the relay hands over what it has not parsed. No value can look like the
    // field, because a quotation mark within one is escaped.
    let text = event.payload.get();
    let begins = text.find(FIELD)? + FIELD.len();
    text.get(begins..begins + 36)?.parse().ok()
}

/// A check of the schedule has an id derived from its slot.
fn is_on_demand(check: CheckId) -> bool {
    check.0.get_version_num() == 7
}
