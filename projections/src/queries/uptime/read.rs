//! What an uptime is computed from, out of ClickHouse.

use std::collections::HashMap;

use clickhouse::query::Query;
use clickhouse::{Client, Row};
use pulsetrail_infra::http::Problem;
use serde::Deserialize;
use uuid::Uuid;

use super::arithmetic::Transition;
use super::slots::{SlotCounts, count_slots};
use super::window::Window;
use crate::analytics::from_name;
use crate::queries::checks::within_range;

/// What is known of one monitor within a window.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) transitions: Vec<Transition>,
    pub(super) slots: SlotCounts,
    pub(super) checks_total: u64,
    pub(super) checks_up: u64,
}

/// Whose uptime is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    pub(super) organization_id: Uuid,
    /// One monitor; all of the organization's where there is none.
    pub(super) monitor_id: Option<Uuid>,
}

#[derive(Row, Deserialize)]
struct TransitionColumns {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    at_us: i64,
    position: i64,
    status: String,
}

#[derive(Row, Deserialize)]
struct CheckCounts {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    total: u64,
    up: u64,
}

/// Reads what is known, by monitor.
pub(super) async fn read(
    client: &Client,
    scope: Scope,
    window: Window,
) -> Result<HashMap<Uuid, Known>, Problem> {
    let (transitions, counts) = tokio::try_join!(
        transitions(client, scope, window).fetch_all::<TransitionColumns>(),
        check_counts(client, scope, window).fetch_all::<CheckCounts>(),
    )?;
    let mut known: HashMap<Uuid, Known> = HashMap::new();
    for row in transitions {
        let status = from_name(&row.status).map_err(Problem::internal)?;
        let transition = Transition { at: row.at_us, position: row.position, status };
        known.entry(row.monitor_id).or_default().transitions.push(transition);
    }
    for row in counts {
        let known = known.entry(row.monitor_id).or_default();
        (known.checks_total, known.checks_up) = (row.total, row.up);
    }
    for (monitor_id, slots) in count_slots(client, scope, window).await? {
        known.entry(monitor_id).or_default().slots = slots;
    }
    Ok(known)
}

/// Whose rows, and recorded by when.
pub(super) const SCOPE: &str = "organization_id = ? and (? or monitor_id = ?)
    and recorded_at <= fromUnixTimestamp64Micro(?)";

pub(super) fn bind_scope(query: Query, scope: Scope, window: Window) -> Query {
    let recorded_by = window.as_of.map_or(i64::MAX, |as_of| as_of.timestamp_micros());
    query
        .bind(scope.organization_id.to_string())
        .bind(scope.monitor_id.is_none())
        .bind(scope.monitor_id.unwrap_or_default().to_string())
        .bind(within_range(recorded_by))
}

/// The transitions within the window, and of each monitor the one that holds at its start.
fn transitions(client: &Client, scope: Scope, window: Window) -> Query {
    let query = format!(
        "select monitor_id, toUnixTimestamp64Micro(at) as at_us, position, status
         from transitions final
         where {SCOPE} and at < fromUnixTimestamp64Micro(?)
           and (at > fromUnixTimestamp64Micro(?) or (monitor_id, position) in (
               select monitor_id, max(position) from transitions
               where {SCOPE} and at <= fromUnixTimestamp64Micro(?) group by monitor_id))"
    );
    let from = within_range(window.from.timestamp_micros());
    let query = bind_scope(client.query(&query), scope, window)
        .bind(within_range(window.to.timestamp_micros()))
        .bind(from);
    bind_scope(query, scope, window).bind(from)
}

/// The checks scheduled within the window. Those that the shield refused count neither way.
fn check_counts(client: &Client, scope: Scope, window: Window) -> Query {
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
