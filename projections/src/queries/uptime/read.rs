//! What an uptime is computed from, out of ClickHouse: a page of monitors at a time, and of their transitions
//! one at a time.

use std::collections::HashMap;

use clickhouse::query::Query;
use clickhouse::{Client, Row};
use pulsetrail_infra::http::Problem;
use serde::Deserialize;
use uuid::Uuid;

use super::Uptime;
use super::arithmetic::{Durations, Fold, Transition};
use super::slots::count_slots;
use super::window::Window;
use crate::analytics::from_name;
use crate::queries::checks::within_range;

/// Whose uptime is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) organization_id: Uuid,
    /// A page of its monitors.
    pub(super) monitors: &'a [Uuid],
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
    total: u64,
    up: u64,
}

/// Reads the uptime of each monitor of the scope; one of which nothing is known is unknown all the time.
pub(super) async fn read(
    client: &Client,
    scope: Scope<'_>,
    window: Window,
) -> Result<HashMap<Uuid, Uptime>, Problem> {
    let counts = async {
        let counts = check_counts(client, scope, window).fetch_all::<CheckCounts>().await;
        counts.map_err(Problem::from)
    };
    let (mut durations, mut slots, counts) = tokio::try_join!(
        durations(client, scope, window),
        count_slots(client, scope, window),
        counts
    )?;
    let mut counts: HashMap<Uuid, CheckCounts> =
        counts.into_iter().map(|row| (row.monitor_id, row)).collect();
    let uptimes = scope.monitors.iter().map(|monitor_id| {
        let (checks_total, checks_up) =
            counts.remove(monitor_id).map_or((0, 0), |row| (row.total, row.up));
        let durations = durations.remove(monitor_id).unwrap_or_else(|| begin(window).finish());
        let slots = slots.remove(monitor_id).unwrap_or_default();
        (*monitor_id, Uptime { durations, slots, checks_total, checks_up })
    });
    Ok(uptimes.collect())
}

/// The durations of the monitors that have transitions.
async fn durations(
    client: &Client,
    scope: Scope<'_>,
    window: Window,
) -> Result<HashMap<Uuid, Durations>, Problem> {
    let mut durations = HashMap::new();
    let mut current: Option<(Uuid, Fold)> = None;
    let mut rows = transitions(client, scope, window).fetch::<TransitionColumns>()?;
    while let Some(row) = rows.next().await? {
        let status = from_name(&row.status).map_err(Problem::internal)?;
        let transition = Transition { at: row.at_us, status, settled_at: row.settled_at_us };
        match &mut current {
            Some((monitor_id, fold)) if *monitor_id == row.monitor_id => fold.push(transition),
            _ => {
                let mut fold = begin(window);
                fold.push(transition);
                if let Some((before, fold)) = current.replace((row.monitor_id, fold)) {
                    durations.insert(before, fold.finish());
                }
            }
        }
    }
    durations.extend(current.map(|(last, fold)| (last, fold.finish())));
    Ok(durations)
}

fn begin(window: Window) -> Fold {
    Fold::new(window.from.timestamp_micros(), window.to.timestamp_micros())
}

/// Whose rows, and recorded by when.
pub(super) const SCOPE: &str = "organization_id = ? and monitor_id in ?
    and recorded_at <= fromUnixTimestamp64Micro(?)";

pub(super) fn bind_scope(query: Query, scope: Scope<'_>, window: Window) -> Query {
    let recorded_by = window.as_of.map_or(i64::MAX, |as_of| as_of.timestamp_micros());
    let monitors: Vec<String> = scope.monitors.iter().map(Uuid::to_string).collect();
    query.bind(scope.organization_id.to_string()).bind(monitors).bind(within_range(recorded_by))
}

/// The transitions within the window, and of each monitor the one that holds at its start: monitor by monitor,
/// in the order of positions, which is that of the table.
fn transitions(client: &Client, scope: Scope<'_>, window: Window) -> Query {
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
    let from = within_range(window.from.timestamp_micros());
    let query = bind_scope(client.query(&query), scope, window)
        .bind(within_range(window.to.timestamp_micros()))
        .bind(from);
    bind_scope(query, scope, window).bind(from)
}

/// The checks scheduled within the window. Those that the shield refused count neither way.
fn check_counts(client: &Client, scope: Scope<'_>, window: Window) -> Query {
    let query = format!(
        "select monitor_id, count() as total, countIf(outcome = 'up') as up from checks final
         where {SCOPE} and outcome != 'blocked'
           and scheduled_at >= fromUnixTimestamp64Micro(?)
           and scheduled_at < fromUnixTimestamp64Micro(?)
         group by monitor_id"
    );
    bind_scope(client.query(&query), scope, window)
        .bind(within_range(window.from.timestamp_micros()))
        .bind(within_range(window.to.timestamp_micros()))
}
