//! `GET /events/density`: how many events were recorded when, to scrub through a log.

use axum::Json;
use axum::extract::State;
use clickhouse::Row;
use pulsetrail_domain::{Position, Timestamp};
use pulsetrail_infra::http::{Identity, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::QueryState;
use super::checks::within_range;
use super::extract::Parameters;
use super::step::Steps;
use super::uptime::{Length, Question, WindowParameters, now};

/// A check is recorded at most this long after its slot, in microseconds.
const LATEST_US: i64 = 8 * 86_400 * 1_000_000;
/// A check is recorded at most this long before its slot, by clocks that differ, in microseconds.
const EARLIEST_US: i64 = 3_600 * 1_000_000;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DensityParameters {
    window: Option<Length>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    step: Option<String>,
}

/// How many events were recorded in each step.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventDensity")]
pub(super) struct DensityBody {
    from: Timestamp,
    to: Timestamp,
    /// The length of a bucket.
    step_seconds: i64,
    /// Events of the log up to this position are counted.
    position: Position,
    /// One for each step, in order, also if it holds nothing.
    buckets: Vec<BucketBody>,
}

/// The events of the organization's monitors that were recorded in a step.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EventDensityBucket")]
pub(super) struct BucketBody {
    /// When the step begins.
    at: Timestamp,
    /// All of them.
    count: u64,
    /// Those that are a check's result.
    checks: u64,
    /// Those that changed what is known of a monitor.
    status_changes: u64,
    /// Those that are a command: a registration, a change, a pause, a resume, an archiving.
    commands: u64,
}

#[derive(Row, Deserialize)]
struct BucketColumns {
    begin: i64,
    checks: u64,
    status_changes: u64,
    commands: u64,
}

/// Counts the events of the organization's monitors by the time at which they were recorded.
#[utoipa::path(
    get,
    path = "/api/v1/events/density",
    tag = "history",
    operation_id = "showEventDensity",
    params(
        ("window" = Option<String>, Query, description = "How long until now: 24h, 7d, 30d, 90d or 365d. Either this, or both ends.", pattern = "^(24h|7d|30d|90d|365d)$"),
        ("from" = Option<String>, Query, description = "The beginning.", format = DateTime),
        ("to" = Option<String>, Query, description = "The end; not later than now.", format = DateTime),
        ("step" = Option<String>, Query, description = "The length of a bucket, such as 90s, 15m, 6h or 1d; one that suits the window if it is left out. At most 2,300 buckets.", pattern = "^[1-9][0-9]{0,8}[smhd]$"),
    ),
    responses((status = 200, description = "How many events there were when.", body = ref(pulsetrail_infra::http::schema_of::<DensityBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn show(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(parameters): Parameters<DensityParameters>,
) -> Result<Json<DensityBody>, Problem> {
    let DensityParameters { window, from, to, step } = parameters;
    let window = WindowParameters { window, from, to, as_of: None }.window(now())?;
    let steps = Steps::over(window, step.as_deref())?;
    let question = Question::pin(&state, window).await?;
    let scope = "organization_id = ? and position <= ?
        and recorded_at >= fromUnixTimestamp64Micro(?) and recorded_at < fromUnixTimestamp64Micro(?)";
    let begin = steps.begin_of("recorded_at");
    // A transition of the kind `observed` stands for a check, which is counted already. A command that changed
    // the status has a row in `schedules` too.
    let query = format!(
        "select begin, sum(checks) as checks, sum(status_changes) as status_changes,
                sum(commands) as commands
         from (
             select {begin} as begin, count() as checks, toUInt64(0) as status_changes,
                    toUInt64(0) as commands
             from checks final
             where {scope} and scheduled_at >= fromUnixTimestamp64Micro(?)
               and scheduled_at < fromUnixTimestamp64Micro(?)
             group by begin
             union all
             select {begin} as begin, 0, count(), 0 from transitions final
             where {scope} and kind not in
                 ('observed', 'registered', 'paused', 'resumed', 'archived')
             group by begin
             union all
             select {begin} as begin, 0, 0, count() from schedules final where {scope} group by begin)
         group by begin"
    );
    let (from, to) = (window.from.timestamp_micros(), window.to.timestamp_micros());
    let mut bound = state.clickhouse().query(&query);
    for table in ["checks", "transitions", "schedules"] {
        bound = bound
            .bind(identity.organization_id.to_string())
            .bind(question.position.0)
            .bind(within_range(from))
            .bind(within_range(to));
        if table == "checks" {
            bound = bound
                .bind(within_range(from.saturating_sub(LATEST_US)))
                .bind(within_range(to.saturating_add(EARLIEST_US)));
        }
    }
    let mut buckets: Vec<BucketBody> = steps
        .begins()
        .map(|begin| BucketBody {
            at: Timestamp::from_timestamp(begin, 0).unwrap_or_default(),
            count: 0,
            checks: 0,
            status_changes: 0,
            commands: 0,
        })
        .collect();
    for row in bound.fetch_all::<BucketColumns>().await? {
        let Some(bucket) = steps.place(row.begin).and_then(|place| buckets.get_mut(place)) else {
            continue;
        };
        bucket.count = row.checks + row.status_changes + row.commands;
        (bucket.checks, bucket.status_changes, bucket.commands) =
            (row.checks, row.status_changes, row.commands);
    }
    Ok(Json(DensityBody {
        from: window.from,
        to: window.to,
        step_seconds: steps.seconds,
        position: question.position,
        buckets,
    }))
}
