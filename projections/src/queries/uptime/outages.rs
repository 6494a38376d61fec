//! `GET /monitors/{id}/outages` and `GET /outages`: when a monitor, or any of an organization's, was down.

use axum::Json;
use axum::extract::State;
use clickhouse::Row;
use pulsetrail_domain::uptime::{Corrections, Durations, Measure, Outage, Outages, Transition};
use pulsetrail_domain::{MonitorId, Position, Timestamp};
use pulsetrail_infra::http::{Identity, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::organization::Monitors;
use super::question::Question;
use super::read::{SCOPE, Scope, bind_scope};
use super::window::{Length, WindowParameters};
use super::{corrections, now};
use crate::analytics::from_name;
use crate::queries::checks::within_range;
use crate::queries::cursor::OutageCursor;
use crate::queries::extract::{MonitorPath, Parameters, page_limit};
use crate::queries::{QueryState, require_monitor};

/// Monitors that are read at a time.
const PAGE: usize = 500;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::queries) struct OutageParameters {
    window: Option<Length>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    as_of: Option<Timestamp>,
    /// Only monitors with this tag: for a whole organization.
    tag: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl OutageParameters {
    /// The window: the last 30 days if none is asked for.
    fn window(&self) -> WindowParameters {
        let Self { window, from, to, as_of, .. } = *self;
        let none = window.is_none() && from.is_none() && to.is_none();
        let window = if none { Some(Length::Month) } else { window };
        WindowParameters { window, from, to, as_of }
    }
}

/// An uninterrupted time of being down. Maintenance, a pause or a false alarm within it makes two of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Outage")]
pub(in crate::queries) struct OutageBody {
    monitor_id: MonitorId,
    monitor_name: String,
    /// When it began, which may be before the window.
    started_at: Timestamp,
    /// When it ended, which may be after the window; null while it goes on.
    ended_at: Option<Timestamp>,
    /// How long it took, or takes until now.
    duration_seconds: f64,
    /// Why, as in a check's failure; null if that is not known.
    cause: Option<String>,
    /// The same for people.
    detail: Option<String>,
    /// The incident that it belongs to; null if it belongs to none.
    incident_id: Option<Uuid>,
}

/// A page of outages.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Outages")]
pub(in crate::queries) struct OutagesBody {
    /// Newest first.
    items: Vec<OutageBody>,
    /// Leads to the next page; null at the end.
    next_cursor: Option<String>,
    from: Timestamp,
    to: Timestamp,
    /// Events of the log up to this position are in it, and none after it.
    position: Position,
    /// Mean time to recovery within the window, of all outages in it: down time / outages.
    mttr_seconds: Option<f64>,
    /// Mean time between failures within the window: up time / outages.
    mtbf_seconds: Option<f64>,
}

/// Lists when a monitor was down, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}/outages",
    tag = "history",
    operation_id = "listOutages",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("window" = Option<String>, Query, description = "How long until now: 24h, 7d, 30d, 90d or 365d; 30d if nothing is given. Either this, or both ends.", pattern = "^(24h|7d|30d|90d|365d)$"),
        ("from" = Option<String>, Query, description = "The beginning. Outages that reach into the window are listed.", format = DateTime),
        ("to" = Option<String>, Query, description = "The end; not later than now.", format = DateTime),
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at; the answer names the position.", format = DateTime),
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 if it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of outages.", body = ref(pulsetrail_infra::http::schema_of::<OutagesBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(in crate::queries) async fn of_monitor(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<OutageParameters>,
) -> Result<Json<OutagesBody>, Problem> {
    if parameters.tag.is_some() {
        return Err(Problem::bad_request("tag is for the outages of a whole organization"));
    }
    let mut search = Search::begin(&state, &parameters).await?;
    let organization_id = identity.organization_id;
    require_monitor(&state.store, organization_id, monitor_id).await?;
    search.read(&state, organization_id.0, &[monitor_id.0]).await?;
    search.body(&state, organization_id.0).await.map(Json)
}

/// Lists when any of an organization's monitors was down, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/outages",
    tag = "history",
    operation_id = "listOrganizationOutages",
    params(
        ("window" = Option<String>, Query, description = "How long until now: 24h, 7d, 30d, 90d or 365d; 30d if nothing is given. Either this, or both ends.", pattern = "^(24h|7d|30d|90d|365d)$"),
        ("from" = Option<String>, Query, description = "The beginning. Outages that reach into the window are listed.", format = DateTime),
        ("to" = Option<String>, Query, description = "The end; not later than now.", format = DateTime),
        ("as_of" = Option<String>, Query, description = "Only what was recorded by then is looked at; the answer names the position.", format = DateTime),
        ("tag" = Option<String>, Query, description = "Only monitors with this tag: `key` or `key:value`."),
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 if it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of outages.", body = ref(pulsetrail_infra::http::schema_of::<OutagesBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(in crate::queries) async fn of_organization(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(parameters): Parameters<OutageParameters>,
) -> Result<Json<OutagesBody>, Problem> {
    let mut search = Search::begin(&state, &parameters).await?;
    let organization_id = identity.organization_id;
    let monitors = Monitors { organization_id, tag: parameters.tag };
    let mut last = None;
    loop {
        let page = monitors.after(&state.store.read, last, PAGE).await?;
        let ids: Vec<Uuid> = page.into_iter().map(|(id, _)| id).collect();
        last = ids.last().copied();
        if last.is_none() {
            break;
        }
        search.read(&state, organization_id.0, &ids).await?;
    }
    search.body(&state, organization_id.0).await.map(Json)
}

/// Why a monitor was down: the cause and the detail, both empty if that is not known.
type Cause = (String, String);

/// A search for the newest outages before a cursor. However many there are, it holds a page of them.
struct Search {
    question: Question,
    before: Option<OutageCursor>,
    limit: usize,
    found: Vec<(OutageCursor, Outage<Cause>)>,
    durations: Durations,
}

#[derive(Row, Deserialize)]
struct TransitionColumns {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    at_us: i64,
    settled_at_us: i64,
    status: String,
    failure_cause: String,
    failure_detail: String,
}

impl Search {
    async fn begin(state: &QueryState, parameters: &OutageParameters) -> Result<Self, Problem> {
        let window = parameters.window().window(now())?;
        let limit = page_limit(parameters.limit)?;
        let before = parameters.cursor.as_deref().map(OutageCursor::decode).transpose()?;
        let question = Question::pin(state, window).await?;
        Ok(Self { question, before, limit, found: Vec::new(), durations: Durations::default() })
    }

    /// Takes in some monitors.
    async fn read(
        &mut self,
        state: &QueryState,
        organization_id: Uuid,
        monitors: &[Uuid],
    ) -> Result<(), Problem> {
        let scope = Scope { organization_id, monitors };
        let question = self.question.clone();
        // Also of the time before the window: an outage may have begun there.
        let known = corrections::load(state, scope, &question, None).await?;
        let (none, corrections) = (Corrections::default(), known.corrections());
        let known_until = question.window.known_until.timestamp_micros();
        let begin = |monitor_id: &Uuid| {
            let corrections = corrections.get(monitor_id).unwrap_or(&none);
            let measure = Measure::new(corrections, &question.borders);
            (measure, Outages::new(corrections, known_until))
        };
        // As for an uptime, with what follows the window: an outage may end there.
        let query = format!(
            "select monitor_id, toUnixTimestamp64Micro(at) as at_us,
                    toUnixTimestamp64Micro(settled_at) as settled_at_us, status,
                    failure_cause, failure_detail
             from transitions final
             where {SCOPE} and at < fromUnixTimestamp64Micro(?)
               and (at > fromUnixTimestamp64Micro(?) or (monitor_id, position) in (
                   select monitor_id, max(position) from transitions
                   where {SCOPE} and at <= fromUnixTimestamp64Micro(?) group by monitor_id))
             order by monitor_id, position"
        );
        let from = within_range(question.window.from.timestamp_micros());
        let query = bind_scope(state.clickhouse().query(&query), scope, &question)
            .bind(within_range(known_until))
            .bind(from);
        let query = bind_scope(query, scope, &question).bind(from);
        let mut rows = query.fetch::<TransitionColumns>()?;
        let mut current: Option<(Uuid, (Measure<'_>, Outages<'_, Cause>))> = None;
        while let Some(row) = rows.next().await? {
            let (monitor_id, at, settled_at) = (row.monitor_id, row.at_us, row.settled_at_us);
            let status = from_name(&row.status).map_err(Problem::internal)?;
            let cause = (row.failure_cause, row.failure_detail);
            if current.as_ref().is_none_or(|(current, _)| *current != monitor_id) {
                self.finish(current.replace((monitor_id, begin(&monitor_id))));
            }
            let Some((_, (measure, outages))) = &mut current else { continue };
            measure.push(Transition { at, status, settled_at, cause: () });
            let transition = Transition { at, status, settled_at, cause };
            outages.push(transition, |outage| self.note(monitor_id, outage));
        }
        self.finish(current);
        Ok(())
    }

    fn finish(&mut self, monitor: Option<(Uuid, (Measure<'_>, Outages<'_, Cause>))>) {
        let Some((monitor_id, (measure, outages))) = monitor else { return };
        let buckets = measure.finish();
        self.durations = buckets.into_iter().fold(self.durations, Durations::plus);
        outages.finish(|outage| self.note(monitor_id, outage));
    }

    /// Keeps an outage if it may be on the page.
    fn note(&mut self, monitor_id: Uuid, outage: Outage<Cause>) {
        let window = self.question.window;
        let begins_after = outage.started_at >= window.to.timestamp_micros();
        let ended_before =
            outage.ended_at.is_some_and(|ended_at| ended_at <= window.from.timestamp_micros());
        let started_at = outage.started_at;
        let place = OutageCursor { started_at, monitor_id: MonitorId(monitor_id) };
        let was_listed = self.before.is_some_and(|before| place >= before);
        if begins_after || ended_before || was_listed {
            return;
        }
        self.found.push((place, outage));
        if self.found.len() > 4 * (self.limit + 1) {
            self.keep_newest();
        }
    }

    /// A page, and one more, which shows that there is another page.
    fn keep_newest(&mut self) {
        self.found.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
        self.found.truncate(self.limit + 1);
    }

    async fn body(
        mut self,
        state: &QueryState,
        organization_id: Uuid,
    ) -> Result<OutagesBody, Problem> {
        self.keep_newest();
        let more = self.found.len() > self.limit;
        self.found.truncate(self.limit);
        let next_cursor =
            self.found.last().filter(|_| more).map(|(place, _)| OutageCursor::encode(*place));
        let ids: Vec<Uuid> = self.found.iter().map(|(place, _)| place.monitor_id.0).collect();
        let names: Vec<(Uuid, String)> = sqlx::query_as(
            "select monitor_id, name from monitor_view
             where organization_id = $1 and monitor_id = any($2)",
        )
        .bind(organization_id)
        .bind(&ids)
        .fetch_all(&state.store().read)
        .await?;
        let names: std::collections::HashMap<Uuid, String> = names.into_iter().collect();
        let window = self.question.window;
        let known_until = window.known_until.timestamp_micros();
        let items = self.found.into_iter().map(|(place, outage)| {
            let Outage { started_at, ended_at, cause: (cause, detail) } = outage;
            let duration = ended_at.unwrap_or(known_until) - started_at;
            OutageBody {
                monitor_id: place.monitor_id,
                monitor_name: names.get(&place.monitor_id.0).cloned().unwrap_or_default(),
                started_at: Timestamp::from_timestamp_micros(started_at).unwrap_or_default(),
                ended_at: ended_at.and_then(Timestamp::from_timestamp_micros),
                duration_seconds: duration as f64 / 1e6,
                cause: Some(cause).filter(|cause| !cause.is_empty()),
                detail: Some(detail).filter(|detail| !detail.is_empty()),
                incident_id: None,
            }
        });
        Ok(OutagesBody {
            items: items.collect(),
            next_cursor,
            from: window.from,
            to: window.to,
            position: self.question.position,
            mttr_seconds: self.durations.mttr_seconds(),
            mtbf_seconds: self.durations.mtbf_seconds(),
        })
    }
}
