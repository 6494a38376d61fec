//! The figures of a page of monitors: uptime, latency and recent results, each with one query for all of them.

use std::collections::HashMap;

use chrono::Duration;
use chrono_tz::Tz;
use clickhouse::Row;
use pulsetrail_domain::uptime::{BucketSize, Durations, borders};
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp};
use pulsetrail_infra::http::{MonitorBody, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::QueryState;
use super::checks::within_range;
use super::latency::milliseconds;
use super::uptime::{Question, Scope, WindowParameters, corrections, durations, now};

/// Results of each monitor.
const RECENT: u8 = 40;
/// Days of each monitor.
const DAYS: i64 = 90;
const DAY_US: i64 = 86_400_000_000;

/// Which figures are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Include {
    uptime: bool,
    latency: bool,
    recent: bool,
}

impl Include {
    /// Parses a list with commas.
    ///
    /// # Errors
    /// 400 for what is no figure.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let mut include = Self::default();
        for name in text.into_iter().flat_map(|text| text.split(',')) {
            match name {
                "uptime" => include.uptime = true,
                "latency" => include.latency = true,
                "recent" => include.recent = true,
                _ => {
                    let detail = "include must be some of uptime, latency and recent, with commas";
                    return Err(Problem::bad_request(detail));
                }
            }
        }
        Ok(include)
    }
}

/// A monitor in a list, with the figures that were asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ListedMonitor")]
pub(super) struct ListedMonitor {
    #[serde(flatten)]
    pub(super) monitor: MonitorBody,
    /// With `include=uptime` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<UptimeSummary>,
    /// With `include=latency` alone: its successful checks of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencySummary>,
    /// With `include=recent` alone: its last 40 results, newest first. Those older than 45 of its intervals
    /// are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    recent: Option<Vec<RecentResult>>,
}

/// The uptime of a monitor until now, as `GET /monitors/{id}/uptime` says it too.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct UptimeSummary {
    #[serde(rename = "24h")]
    day: WindowSummary,
    #[serde(rename = "30d")]
    month: WindowSummary,
    #[serde(rename = "90d")]
    quarter: WindowSummary,
    /// The last 90 days and a part of the one before, in UTC, oldest first.
    days: Vec<DaySummary>,
}

#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
struct WindowSummary {
    /// up / (up + down); null if nothing is known.
    uptime_ratio: Option<f64>,
    /// The same in percent, with three decimals, rounded down.
    uptime_percent: Option<String>,
    down_seconds: f64,
    outages: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct DaySummary {
    from: Timestamp,
    #[serde(flatten)]
    summary: WindowSummary,
}

#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
struct LatencySummary {
    count: u64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct RecentResult {
    scheduled_at: Timestamp,
    region: String,
    /// `up`, `down` or `blocked`.
    outcome: String,
    total_ms: f64,
    /// Why it failed; null if it did not.
    cause: Option<String>,
}

#[derive(Row, Deserialize)]
struct LatencyColumns {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    count: u64,
    quantiles: Vec<u32>,
}

#[derive(Row, Deserialize)]
struct RecentColumns {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    #[serde(with = "clickhouse::serde::chrono::datetime64::micros")]
    scheduled_at: Timestamp,
    region: String,
    outcome: String,
    timing_total: u32,
    failure_cause: String,
}

/// Adds the figures to the monitors of a page.
pub(super) async fn add_figures(
    state: &QueryState,
    organization_id: OrganizationId,
    monitors: Vec<MonitorBody>,
    include: Include,
) -> Result<Vec<ListedMonitor>, Problem> {
    let ids: Vec<Uuid> = monitors.iter().map(|monitor| monitor.id.0).collect();
    let listed = |monitor| ListedMonitor { monitor, uptime: None, latency: None, recent: None };
    let mut listed: Vec<ListedMonitor> = monitors.into_iter().map(listed).collect();
    if ids.is_empty() || include == Include::default() {
        return Ok(listed);
    }
    let until = now();
    let window =
        WindowParameters { from: Some(until - Duration::days(DAYS)), ..Default::default() };
    let question = Question::pin(state, window.window(until)?).await?;
    let scope = Scope { organization_id: organization_id.0, monitors: &ids };
    let slowest = listed.iter().map(|listed| listed.monitor.interval_seconds).max();
    let recent_since = until - Duration::seconds(45 * i64::from(slowest.unwrap_or_default()));
    let (mut uptimes, mut latencies, mut recents) = tokio::try_join!(
        async {
            match include.uptime {
                true => uptimes(state, scope, &question).await,
                false => Ok(HashMap::new()),
            }
        },
        async {
            match include.latency {
                true => latencies(state, scope, &question, until - Duration::days(1)).await,
                false => Ok(HashMap::new()),
            }
        },
        async {
            match include.recent {
                true => recents(state, scope, &question, recent_since).await,
                false => Ok(HashMap::new()),
            }
        },
    )?;
    for listed in &mut listed {
        let MonitorId(id) = listed.monitor.id;
        listed.uptime = uptimes.remove(&id);
        listed.latency = include.latency.then(|| latencies.remove(&id).unwrap_or_default());
        listed.recent = include.recent.then(|| recents.remove(&id).unwrap_or_default());
    }
    Ok(listed)
}

/// The uptimes of the last day, month and quarter, and of each day.
async fn uptimes(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
) -> Result<HashMap<Uuid, UptimeSummary>, Problem> {
    let (from, to) =
        (question.window.from.timestamp_micros(), question.window.to.timestamp_micros());
    let days = borders((from, to), BucketSize::Day, Tz::UTC).map_err(Problem::internal)?;
    let [day, month, quarter] = [to - DAY_US, to - 30 * DAY_US, from].map(|from| [from, to]);
    let sets: [&[i64]; 4] = [&day, &month, &quarter, &days];
    let known = corrections::load(state, scope, question, Some(question.window.from)).await?;
    let measured = durations(state.clickhouse(), scope, (question, &sets[..]), &known).await?;
    let summaries = measured.into_iter().map(|(monitor_id, sets)| {
        let set = |place: usize| sets.get(place).map(Vec::as_slice).unwrap_or_default();
        let window = |place: usize| set(place).first().copied().map(summary).unwrap_or_default();
        let days = days.iter().zip(set(3)).map(|(from, durations)| DaySummary {
            from: Timestamp::from_timestamp_micros(*from).unwrap_or_default(),
            summary: summary(*durations),
        });
        let (day, month, quarter) = (window(0), window(1), window(2));
        (monitor_id, UptimeSummary { day, month, quarter, days: days.collect() })
    });
    Ok(summaries.collect())
}

fn summary(durations: Durations) -> WindowSummary {
    WindowSummary {
        uptime_ratio: durations.uptime_ratio(),
        uptime_percent: durations.uptime_percent(),
        down_seconds: durations.down as f64 / 1e6,
        outages: durations.outages,
    }
}

/// A condition that every query here has.
const SCOPE: &str = "organization_id = ? and monitor_id in ? and position <= ?
    and scheduled_at >= fromUnixTimestamp64Micro(?)";

fn bind_scope(
    state: &QueryState,
    query: &str,
    scope: Scope<'_>,
    question: &Question,
    since: Timestamp,
) -> clickhouse::query::Query {
    let monitors: Vec<String> = scope.monitors.iter().map(Uuid::to_string).collect();
    let query = state.clickhouse().query(query);
    let query = query.bind(scope.organization_id.to_string()).bind(monitors);
    query.bind(question.position.0).bind(within_range(since.timestamp_micros()))
}

async fn latencies(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
    since: Timestamp,
) -> Result<HashMap<Uuid, LatencySummary>, Problem> {
    let query = format!(
        "select monitor_id, count() as count, quantilesExact(0.5, 0.95)(timing_total) as quantiles
         from checks final where {SCOPE} and outcome = 'up' and timing_total > 0
         group by monitor_id"
    );
    let rows = bind_scope(state, &query, scope, question, since).fetch_all::<LatencyColumns>();
    let latencies = rows.await?.into_iter().map(|row| {
        let quantile = |place: usize| row.quantiles.get(place).copied().map(milliseconds);
        let (p50_ms, p95_ms) = (quantile(0), quantile(1));
        (row.monitor_id, LatencySummary { count: row.count, p50_ms, p95_ms })
    });
    Ok(latencies.collect())
}

async fn recents(
    state: &QueryState,
    scope: Scope<'_>,
    question: &Question,
    since: Timestamp,
) -> Result<HashMap<Uuid, Vec<RecentResult>>, Problem> {
    let query = format!(
        "select monitor_id, scheduled_at, region, outcome, timing_total, failure_cause
         from checks final where {SCOPE}
         order by monitor_id, scheduled_at desc, position desc limit {RECENT} by monitor_id"
    );
    let mut rows = bind_scope(state, &query, scope, question, since).fetch::<RecentColumns>()?;
    let mut recents: HashMap<Uuid, Vec<RecentResult>> = HashMap::new();
    while let Some(row) = rows.next().await? {
        let recent = RecentResult {
            scheduled_at: row.scheduled_at,
            region: row.region,
            outcome: row.outcome,
            total_ms: milliseconds(row.timing_total),
            cause: Some(row.failure_cause).filter(|cause| !cause.is_empty()),
        };
        recents.entry(row.monitor_id).or_default().push(recent);
    }
    Ok(recents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_with_commas() {
        let parse = |text| Include::parse(Some(text)).map_err(|problem| problem.status);
        assert_eq!(Include::parse(None).unwrap(), Include::default());
        let expected = Include { uptime: true, latency: false, recent: true };
        assert_eq!(parse("recent,uptime"), Ok(expected));
        for text in ["", "uptime,", "uptime latency", "all"] {
            assert_eq!(parse(text), Err(400), "{text}");
        }
    }
}
