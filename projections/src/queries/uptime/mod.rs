//! `GET /monitors/{id}/uptime` and `GET /uptime`: how long a monitor, or all of an organization's,
//! were up within a window.

mod arithmetic;
mod organization;
mod read;
mod slots;
mod window;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use pulsetrail_domain::{MonitorId, Timestamp, timestamp_from_millis};
use pulsetrail_infra::http::{Identity, Problem};
use schemars::JsonSchema;
use serde::Serialize;

use self::arithmetic::Durations;
use self::organization::{Answer, Monitors};
use self::read::{Scope, read};
use self::slots::SlotCounts;
use self::window::{Window, WindowParameters};
use super::extract::{MonitorPath, Parameters};
use super::{QueryState, require_monitor};

/// An uptime. The five durations add up to the window.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct UptimeBody {
    from: Timestamp,
    to: Timestamp,
    /// up / (up + down), by time; null where nothing is known.
    uptime_ratio: Option<f64>,
    up_seconds: f64,
    down_seconds: f64,
    paused_seconds: f64,
    excluded_seconds: f64,
    unknown_seconds: f64,
    /// Checks that were due: one for each slot and region while the monitor was not paused. Slots whose
    /// result may still come in time are left out. 0 for heartbeat monitors, which report by
    /// themselves; a report that does not come is a failed check.
    checks_expected: u64,
    /// Expected checks without a recorded result. Checks on demand fill no slot.
    checks_missed: u64,
    /// Checks that ended, those on demand included and those that the shield refused left out.
    checks_total: u64,
    checks_up: u64,
    outages: u64,
}

// It is written piece by piece: see `organization`.
/// The uptime of all monitors together, and of each.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it describes what is written")]
pub(super) struct OrganizationUptimeBody {
    #[serde(flatten)]
    total: UptimeBody,
    monitors: Vec<MonitorUptimeBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct MonitorUptimeBody {
    monitor_id: MonitorId,
    name: String,
    #[serde(flatten)]
    uptime: UptimeBody,
}

/// What was found out about a window.
#[derive(Clone, Copy, Debug, Default)]
struct Uptime {
    durations: Durations,
    slots: SlotCounts,
    checks_total: u64,
    checks_up: u64,
}

impl Uptime {
    fn plus(self, other: Self) -> Self {
        Self {
            durations: self.durations.plus(other.durations),
            slots: self.slots.plus(other.slots),
            checks_total: self.checks_total + other.checks_total,
            checks_up: self.checks_up + other.checks_up,
        }
    }

    fn body(&self, window: Window) -> UptimeBody {
        let seconds = |microseconds: i128| microseconds as f64 / 1e6;
        let durations = &self.durations;
        UptimeBody {
            from: window.from,
            to: window.to,
            uptime_ratio: durations.uptime_ratio(),
            up_seconds: seconds(durations.up),
            down_seconds: seconds(durations.down),
            paused_seconds: seconds(durations.paused),
            excluded_seconds: 0.0,
            unknown_seconds: seconds(durations.unknown),
            checks_expected: self.slots.expected,
            checks_missed: self.slots.missed(),
            checks_total: self.checks_total,
            checks_up: self.checks_up,
            outages: durations.outages,
        }
    }
}

fn now() -> Timestamp {
    timestamp_from_millis(Utc::now().timestamp_millis())
}

/// Says how long a monitor was up within a window, by time.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}/uptime",
    tag = "history",
    operation_id = "showUptime",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("window" = Option<String>, Query, description = "How long until now: 24h, 7d, 30d, 90d or 365d. Either this, or both ends.", pattern = "^(24h|7d|30d|90d|365d)$"),
        ("from" = Option<String>, Query, description = "The beginning.", format = DateTime),
        ("to" = Option<String>, Query, description = "The end; not later than now.", format = DateTime),
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at.", format = DateTime),
    ),
    responses((status = 200, description = "How long it was up.", body = ref(pulsetrail_infra::http::schema_of::<UptimeBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn of_monitor(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<WindowParameters>,
) -> Result<Json<UptimeBody>, Problem> {
    if parameters.tag.is_some() {
        return Err(Problem::bad_request("tag is for the uptime of a whole organization"));
    }
    let window = parameters.window(now())?;
    require_monitor(&state.store, identity.organization_id, monitor_id).await?;
    let scope = Scope { organization_id: identity.organization_id.0, monitors: &[monitor_id.0] };
    let uptime = read(&state.clickhouse, scope, window).await?.remove(&monitor_id.0);
    Ok(Json(uptime.unwrap_or_default().body(window)))
}

/// Says how long all of an organization's monitors were up within a window, and each of them.
#[utoipa::path(
    get,
    path = "/api/v1/uptime",
    tag = "history",
    operation_id = "showOrganizationUptime",
    params(
        ("window" = Option<String>, Query, description = "How long until now: 24h, 7d, 30d, 90d or 365d. Either this, or both ends.", pattern = "^(24h|7d|30d|90d|365d)$"),
        ("from" = Option<String>, Query, description = "The beginning.", format = DateTime),
        ("to" = Option<String>, Query, description = "The end; not later than now.", format = DateTime),
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at.", format = DateTime),
        ("tag" = Option<String>, Query, description = "Only monitors with this tag: `key` or `key:value`."),
    ),
    responses((status = 200, description = "How long all of them were up.", body = ref(pulsetrail_infra::http::schema_of::<OrganizationUptimeBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn of_organization(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(parameters): Parameters<WindowParameters>,
) -> Result<Response, Problem> {
    let window = parameters.window(now())?;
    let monitors = Monitors { organization_id: identity.organization_id, tag: parameters.tag };
    Answer::begin(state, monitors, window).await
}
