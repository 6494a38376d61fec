//! What an uptime is computed from, out of ClickHouse: a page of monitors at a time, and of their transitions
//! one at a time.

use std::collections::HashMap;

use clickhouse::query::Query;
use clickhouse::{Client, Row};
use pulsetrail_domain::uptime::{Corrections, Durations, Measure, Transition};
use pulsetrail_infra::http::Problem;
use serde::Deserialize;
use uuid::Uuid;

use super::body::Uptime;
use super::corrections::{self, Known};
use super::question::Question;
use super::slots::count_slots;
use crate::analytics::from_name;
use crate::queries::QueryState;
use crate::queries::checks::within_range;

/// Whose uptime is asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::queries) struct Scope<'a> {
    pub(in crate::queries) organization_id: Uuid,
    /// A page of its monitors.
    pub(in crate::queries) monitors: &'a [Uuid],
}

#[derive(Row, Deserialize)]
struct TransitionColumns {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    at_us: i64,
    settled_at_us: i64,
    status: String,
}

#[derive(Row, Deserialize)]
struct CheckCounts {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    bucket_us: i64,
    total: u64,
    up: u64,
}

/// Reads the uptime of each monitor of the scope, bucket by bucket; one of which nothing is known is unknown
/// all the time.
pub(super) async fn read(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
) -> Result<HashMap<Uuid, Vec<Uptime>>, Problem> {
    let known = corrections::load(state, scope, question, Some(question.window.from)).await?;
    read_corrected(state, scope, question, &known).await
}

/// The same with corrections in hand.
pub(in crate::queries) async fn read_corrected(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
    known: &Known,
) -> Result<HashMap<Uuid, Vec<Uptime>>, Problem> {
    let client = state.clickhouse();
    let counts = async {
        let counts = check_counts(client, scope, question).fetch_all::<CheckCounts>().await;
        counts.map_err(Problem::from)
    };
    let borders = [&question.borders[..]];
    let (durations, slots, counts) = tokio::try_join!(
        durations(client, scope, (question, &borders[..]), known),
        count_slots(client, scope, question),
        counts
    )?;
    let buckets = || vec![Uptime::default(); question.buckets()];
    let mut uptimes: HashMap<Uuid, Vec<Uptime>> =
        scope.monitors.iter().map(|monitor_id| (*monitor_id, buckets())).collect();
    for (monitor_id, durations) in durations {
        let buckets = uptimes.entry(monitor_id).or_default().iter_mut();
        for (bucket, durations) in buckets.zip(durations.into_iter().flatten()) {
            bucket.durations = durations;
        }
    }
    for (monitor_id, slots) in slots {
        for (bucket, slots) in uptimes.entry(monitor_id).or_default().iter_mut().zip(slots) {
            bucket.slots = slots;
        }
    }
    for CheckCounts { monitor_id, bucket_us, total, up } in counts {
        let buckets = uptimes.get_mut(&monitor_id);
        let place = question.bucket_of(bucket_us);
        if let Some(bucket) = buckets.and_then(|buckets| buckets.get_mut(place)) {
            (bucket.checks_total, bucket.checks_up) = (total, up);
        }
    }
    Ok(uptimes)
}

/// The durations of each monitor of the scope, in each of several sets of buckets within the window.
pub(in crate::queries) async fn durations(
    client: &Client,
    scope: Scope<'_>,
    (question, borders): (&Question, &[&[i64]]),
    known: &Known,
) -> Result<HashMap<Uuid, Vec<Vec<Durations>>>, Problem> {
    let mut durations = HashMap::new();
    let (none, corrections) = (Corrections::default(), known.corrections());
    let begin = |monitor_id: &Uuid| {
        let corrections = corrections.get(monitor_id).unwrap_or(&none);
        let measures = borders.iter().map(|borders| Measure::new(corrections, borders));
        measures.collect::<Vec<Measure<'_>>>()
    };
    let finish = |measures: Vec<Measure<'_>>| measures.into_iter().map(Measure::finish).collect();
    let mut current: Option<(Uuid, Vec<Measure<'_>>)> = None;
    let mut rows = transitions(client, scope, question).fetch::<TransitionColumns>()?;
    while let Some(row) = rows.next().await? {
        let status = from_name(&row.status).map_err(Problem::internal)?;
        let settled_at = row.settled_at_us;
        let transition = Transition { at: row.at_us, status, settled_at, cause: () };
        if current.as_ref().is_none_or(|(monitor_id, _)| *monitor_id != row.monitor_id)
            && let Some((before, measures)) =
                current.replace((row.monitor_id, begin(&row.monitor_id)))
        {
            durations.insert(before, finish(measures));
        }
        for measure in current.iter_mut().flat_map(|(_, measures)| measures) {
            measure.push(transition);
        }
    }
    durations.extend(current.map(|(last, measures)| (last, finish(measures))));
    for monitor_id in scope.monitors {
        durations.entry(*monitor_id).or_insert_with(|| finish(begin(monitor_id)));
    }
    Ok(durations)
}

/// Whose rows, and up to which position.
pub(super) const SCOPE: &str = "organization_id = ? and monitor_id in ? and position <= ?";

pub(super) fn bind_scope(query: Query, scope: Scope<'_>, question: &Question) -> Query {
    let monitors: Vec<String> = scope.monitors.iter().map(Uuid::to_string).collect();
    query.bind(scope.organization_id.to_string()).bind(monitors).bind(question.position.0)
}

/// The transitions within the window, and of each monitor the one that holds at its start: monitor by monitor,
/// in the order of positions, which is that of the table.
fn transitions(client: &Client, scope: Scope<'_>, question: &Question) -> Query {
    let query = format!(
        "select monitor_id, toUnixTimestamp64Micro(at) as at_us,
                toUnixTimestamp64Micro(settled_at) as settled_at_us, status
         from transitions final
         where {SCOPE} and at < fromUnixTimestamp64Micro(?)
           and (at > fromUnixTimestamp64Micro(?) or (monitor_id, position) in (
               select monitor_id, max(position) from transitions
               where {SCOPE} and at <= fromUnixTimestamp64Micro(?) group by monitor_id))
         order by monitor_id, position"
    );
    let from = within_range(question.window.from.timestamp_micros());
    let query = bind_scope(client.query(&query), scope, question)
        .bind(within_range(question.window.to.timestamp_micros()))
        .bind(from);
    bind_scope(query, scope, question).bind(from)
}

/// The checks scheduled within the window. Those that the shield refused count neither way.
fn check_counts(client: &Client, scope: Scope<'_>, question: &Question) -> Query {
    let bucket = question.bucket_begin("toUnixTimestamp64Micro(scheduled_at)");
    let query = format!(
        "select monitor_id, {bucket} as bucket_us, count() as total, countIf(outcome = 'up') as up
         from checks final
         where {SCOPE} and outcome != 'blocked' and (? = '' or region = ?)
           and scheduled_at >= fromUnixTimestamp64Micro(?)
           and scheduled_at < fromUnixTimestamp64Micro(?)
         group by monitor_id, bucket_us"
    );
    let region = question.region.as_ref().map(ToString::to_string).unwrap_or_default();
    bind_scope(client.query(&query), scope, question)
        .bind(&region)
        .bind(&region)
        .bind(within_range(question.window.from.timestamp_micros()))
        .bind(within_range(question.window.to.timestamp_micros()))
}
