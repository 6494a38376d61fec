//! `GET /monitors/{id}/latency`: how long successful checks took, as percentiles over time.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use clickhouse::Row;
use pulsetrail_domain::{MonitorId, Position, Region, Timestamp};
use pulsetrail_infra::http::{Identity, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::within_range;
use super::extract::{MonitorPath, Parameters};
use super::step::Steps;
use super::uptime::{Length, Question, WindowParameters, now};
use super::{QueryState, require_monitor};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LatencyParameters {
    window: Option<Length>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    as_of: Option<Timestamp>,
    step: Option<String>,
    phase: Option<Phase>,
    region: Option<Region>,
}

/// What of a check takes time.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// All of it.
    Total,
    /// Resolving the name.
    Dns,
    /// Connecting.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the request until the first byte of the answer.
    FirstByte,
}

const PHASES: [Phase; 5] = [Phase::Total, Phase::Dns, Phase::Connect, Phase::Tls, Phase::FirstByte];

impl Phase {
    fn column(self) -> &'static str {
        match self {
            Self::Total => "timing_total",
            Self::Dns => "timing_dns",
            Self::Connect => "timing_connect",
            Self::Tls => "timing_tls",
            Self::FirstByte => "timing_first_byte",
        }
    }
}

/// How long successful checks took.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Latency")]
pub(super) struct LatencyBody {
    from: Timestamp,
    to: Timestamp,
    /// The length of a bucket.
    step_seconds: i64,
    /// Events of the log up to this position are in it, and none after it.
    position: Position,
    /// The phase of `buckets`: `total`, or the one that was asked for.
    phase: Phase,
    /// One for each step, in order, also if it holds no check.
    buckets: Vec<BucketBody>,
    /// The buckets of each phase, `total` too. Empty if one `phase` was asked for.
    phases: BTreeMap<Phase, Vec<BucketBody>>,
}

/// The checks of a step that succeeded and had the phase. The figures are null if there are none.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "LatencyBucket")]
pub(super) struct BucketBody {
    /// When the step begins.
    at: Timestamp,
    count: u64,
    /// The median.
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
}

#[derive(Row, Deserialize)]
struct BucketColumns {
    phase: u8,
    begin: i64,
    count: u64,
    quantiles: Vec<u32>,
    max: u32,
}

/// Says how long a monitor's successful checks took: percentiles over time, of the whole check and of each
/// phase.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}/latency",
    tag = "history",
    operation_id = "showLatency",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("window" = Option<String>, Query, description = "How long until now: 24h, 7d, 30d, 90d or 365d. Either this, or both ends.", pattern = "^(24h|7d|30d|90d|365d)$"),
        ("from" = Option<String>, Query, description = "The beginning.", format = DateTime),
        ("to" = Option<String>, Query, description = "The end; not later than now.", format = DateTime),
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at; the answer names the position.", format = DateTime),
        ("step" = Option<String>, Query, description = "The length of a bucket, such as 90s, 15m, 6h or 1d; one that suits the window if it is left out. At most 2,300 buckets.", pattern = "^[1-9][0-9]{0,8}[smhd]$"),
        ("phase" = Option<String>, Query, description = "Only this phase.", pattern = "^(total|dns|connect|tls|first_byte)$"),
        ("region" = Option<String>, Query, description = "Only the checks from this region.", pattern = "^[a-z0-9-]{1,32}$"),
    ),
    responses((status = 200, description = "How long its checks took.", body = ref(pulsetrail_infra::http::schema_of::<LatencyBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn of_monitor(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<LatencyParameters>,
) -> Result<Json<LatencyBody>, Problem> {
    let LatencyParameters { window, from, to, as_of, step, phase, region } = parameters;
    let window = WindowParameters { window, from, to, as_of }.window(now())?;
    let steps = Steps::over(window, step.as_deref())?;
    require_monitor(&state.store, identity.organization_id, monitor_id).await?;
    let question = Question { region, ..Question::pin(&state, window).await? };
    let phases: &[Phase] = phase.as_ref().map_or(&PHASES, std::slice::from_ref);
    let rows = read(&state, &identity, monitor_id, (&question, steps), phases).await?;
    let mut phases = fill(steps, phases, rows);
    let shown = phase.unwrap_or(Phase::Total);
    let buckets = match phase {
        Some(phase) => phases.remove(&phase),
        None => phases.get(&shown).cloned(),
    };
    Ok(Json(LatencyBody {
        from: window.from,
        to: window.to,
        step_seconds: steps.seconds,
        position: question.position,
        phase: shown,
        buckets: buckets.unwrap_or_default(),
        phases,
    }))
}

async fn read(
    state: &QueryState,
    identity: &Identity,
    monitor_id: MonitorId,
    (question, steps): (&Question, Steps),
    phases: &[Phase],
) -> Result<Vec<BucketColumns>, Problem> {
    let columns: Vec<&str> = phases.iter().map(|phase| phase.column()).collect();
    let query = format!(
        "select toUInt8(number) as phase, begin, count() as count,
                quantilesExact(0.5, 0.95, 0.99)(took) as quantiles, max(took) as max
         from (select {} as begin, [{}] as timings, arrayEnumerate(timings) as numbers
               from checks final
               where organization_id = ? and monitor_id = ? and position <= ?
                 and outcome = 'up' and (? = '' or region = ?)
                 and scheduled_at >= fromUnixTimestamp64Micro(?)
                 and scheduled_at < fromUnixTimestamp64Micro(?))
         array join timings as took, numbers as number
         -- A phase that a check did not have took no time.
         where took > 0
         group by number, begin",
        steps.begin_of("scheduled_at"),
        columns.join(", ")
    );
    let region = question.region.as_ref().map(ToString::to_string).unwrap_or_default();
    let rows = state
        .clickhouse()
        .query(&query)
        .bind(identity.organization_id.to_string())
        .bind(monitor_id.to_string())
        .bind(question.position.0)
        .bind(&region)
        .bind(&region)
        .bind(within_range(question.window.from.timestamp_micros()))
        .bind(within_range(question.window.to.timestamp_micros()))
        .fetch_all()
        .await?;
    Ok(rows)
}

/// The buckets of each phase, empty ones included.
fn fill(
    steps: Steps,
    phases: &[Phase],
    rows: Vec<BucketColumns>,
) -> BTreeMap<Phase, Vec<BucketBody>> {
    let empty: Vec<BucketBody> = steps
        .begins()
        .map(|begin| BucketBody {
            at: Timestamp::from_timestamp(begin, 0).unwrap_or_default(),
            count: 0,
            p50_ms: None,
            p95_ms: None,
            p99_ms: None,
            max_ms: None,
        })
        .collect();
    let mut filled: BTreeMap<Phase, Vec<BucketBody>> =
        phases.iter().map(|phase| (*phase, empty.clone())).collect();
    for row in rows {
        // Array indices begin at 1.
        let phase = phases.get(usize::from(row.phase).saturating_sub(1));
        let buckets = phase.and_then(|phase| filled.get_mut(phase));
        let place = steps.place(row.begin);
        let bucket = buckets.zip(place).and_then(|(buckets, place)| buckets.get_mut(place));
        let Some(bucket) = bucket else { continue };
        let quantile = |place: usize| row.quantiles.get(place).copied().map(milliseconds);
        bucket.count = row.count;
        (bucket.p50_ms, bucket.p95_ms, bucket.p99_ms) = (quantile(0), quantile(1), quantile(2));
        bucket.max_ms = Some(milliseconds(row.max));
    }
    filled
}

/// Milliseconds of microseconds.
pub(super) fn milliseconds(microseconds: u32) -> f64 {
    f64::from(microseconds) / 1e3
}
