//! `GET /monitors/{id}/uptime` and `GET /uptime`: how long a monitor, or all of an organization's,
//! were up within a window. `GET /monitors/{id}/outages` and `GET /outages`: when they were not.

mod body;
pub(super) mod corrections;
mod organization;
pub(super) mod outages;
mod question;
mod read;
mod slots;
mod window;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use pulsetrail_domain::{Region, Timestamp, timestamp_from_millis};
use pulsetrail_infra::http::{Identity, Problem};
use serde::Deserialize;

pub(super) use self::body::{OrganizationUptimeBody, UptimeBody};
use self::organization::{Answer, Monitors};
pub(super) use self::question::Question;
use self::question::{By, zone_of};
use self::read::read;
pub(super) use self::read::{Scope, durations, read_corrected};
pub(super) use self::window::{Length, Window, WindowParameters};
use super::cursor::UptimeCursor;
use super::extract::{MonitorPath, Parameters, page_limit};
use super::{QueryState, require_monitor};

/// What is asked of one monitor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MonitorParameters {
    window: Option<Length>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    as_of: Option<Timestamp>,
    by: Option<By>,
    tz: Option<String>,
    region: Option<Region>,
}

/// What is asked of an organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganizationParameters {
    window: Option<Length>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    as_of: Option<Timestamp>,
    by: Option<By>,
    tz: Option<String>,
    /// Only monitors with this tag, `key` or `key:value`.
    tag: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) fn now() -> Timestamp {
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
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at; the answer names the position.", format = DateTime),
        ("by" = Option<String>, Query, description = "Also in buckets, at most 2,300: days, or hours.", pattern = "^(day|hour)$"),
        ("tz" = Option<String>, Query, description = "The IANA time zone whose days and hours these are; UTC if it is left out."),
        ("region" = Option<String>, Query, description = "Only the checks from this region. A region has no status: durations are null.", pattern = "^[a-z0-9-]{1,32}$"),
    ),
    responses((status = 200, description = "How long it was up.", body = ref(pulsetrail_infra::http::schema_of::<UptimeBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn of_monitor(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<MonitorParameters>,
) -> Result<Json<UptimeBody>, Problem> {
    let MonitorParameters { window, from, to, as_of, by, tz, region } = parameters;
    let window = WindowParameters { window, from, to, as_of }.window(now())?;
    let zone = zone_of(tz.as_deref())?;
    require_monitor(&state.store, identity.organization_id, monitor_id).await?;
    let question = Question::pin(&state, window).await?.in_buckets(by, zone)?;
    let question = Question { region, ..question };
    let scope = Scope { organization_id: identity.organization_id.0, monitors: &[monitor_id.0] };
    let buckets = read(&state, scope, &question).await?.remove(&monitor_id.0);
    Ok(Json(UptimeBody::new(&question, &buckets.unwrap_or_default(), by.is_some())))
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
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at; the answer names the position.", format = DateTime),
        ("by" = Option<String>, Query, description = "Also in buckets, at most 2,300: days, or hours.", pattern = "^(day|hour)$"),
        ("tz" = Option<String>, Query, description = "The IANA time zone whose days and hours these are; UTC if it is left out."),
        ("tag" = Option<String>, Query, description = "Only monitors with this tag: `key` or `key:value`."),
        ("limit" = Option<u16>, Query, description = "Monitors that are listed; all of them if it is left out. The totals are always those of all.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "How long all of them were up.", body = ref(pulsetrail_infra::http::schema_of::<OrganizationUptimeBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn of_organization(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(parameters): Parameters<OrganizationParameters>,
) -> Result<Response, Problem> {
    let OrganizationParameters { window, from, to, as_of, by, tz, tag, limit, cursor } = parameters;
    let window = WindowParameters { window, from, to, as_of }.window(now())?;
    let zone = zone_of(tz.as_deref())?;
    let limit = limit.map(|limit| page_limit(Some(limit))).transpose()?;
    let after = cursor.as_deref().map(UptimeCursor::decode).transpose()?;
    let question = Question::pin(&state, window).await?.in_buckets(by, zone)?;
    let monitors = Monitors { organization_id: identity.organization_id, tag };
    let listed = organization::Listed { after: after.map(|cursor| cursor.0), limit };
    Answer::begin(state, monitors, question, by.is_some(), listed).await
}
