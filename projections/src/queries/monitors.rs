//! `GET /monitors` and `GET /monitors/{id}`, from the read model in Postgres.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use pulsetrail_infra::http::{
    Identity, MONITOR_BODY_COLUMNS, MONITOR_BODY_TABLES, MonitorBody, Page, Problem,
    load_monitor_body,
};
use serde::{Deserialize, Serialize};

use super::QueryState;
use super::cursor::MonitorCursor;
use super::extract::{MonitorPath, NoParameters, Parameters, page_limit};
use super::figures::{Include, ListedMonitor, add_figures};
use crate::analytics::name_of;

/// Which monitors are listed: those for which every given parameter holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    status: Option<ListedStatus>,
    /// Part of the name or of the target's address, in upper or lower case.
    q: Option<String>,
    /// `key` or `key:value`.
    tag: Option<String>,
    /// Figures beside each monitor, with commas between them.
    include: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The statuses of monitors that are not archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ListedStatus {
    Pending,
    Up,
    Down,
    Unknown,
    Paused,
}

/// Lists the monitors that are not archived.
#[utoipa::path(
    get,
    path = "/api/v1/monitors",
    tag = "monitors",
    operation_id = "listMonitors",
    params(
        ("status" = Option<String>, Query, description = "Only those with this status.", pattern = "^(pending|up|down|unknown|paused)$"),
        ("q" = Option<String>, Query, description = "Only those with this text in their name or address."),
        ("tag" = Option<String>, Query, description = "Only those with this tag: `key` or `key:value`."),
        ("include" = Option<String>, Query, description = "Figures beside each monitor: some of uptime, latency and recent, with commas.", pattern = "^(uptime|latency|recent)(,(uptime|latency|recent))*$"),
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of monitors.", body = ref(pulsetrail_infra::http::schema_of::<Page<ListedMonitor>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn list(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Page<ListedMonitor>>, Problem> {
    let limit = page_limit(parameters.limit)?;
    let include = Include::parse(parameters.include.as_deref())?;
    let after = parameters.cursor.as_deref().map(MonitorCursor::decode).transpose()?;
    let tag = parameters.tag.as_deref();
    let (tag_key, tag_value) = tag.and_then(|tag| tag.split_once(':')).unzip();
    let query = format!(
        "select {MONITOR_BODY_COLUMNS} from {MONITOR_BODY_TABLES}
         where monitor_view.organization_id = $1 and not monitor_view.archived
           and ($2::uuid is null or monitor_view.monitor_id > $2)
           and ($3::text is null or $3 = case when monitor_view.paused then 'paused'
                                              else coalesce(monitor_status.status, 'pending') end)
           and ($4::text is null or monitor_view.name ilike $4
                or coalesce(monitor_view.config #>> '{{target,url}}',
                            monitor_view.config #>> '{{target,host}}',
                            monitor_view.config #>> '{{target,name}}') ilike $4)
           and ($5::text is null or monitor_view.config -> 'tags' ? $5
                or monitor_view.config -> 'tags' ->> $6 = $7)
         order by monitor_view.monitor_id limit $8"
    );
    let rows = sqlx::query(&query)
        .bind(identity.organization_id.0)
        .bind(after.map(|cursor| cursor.0.0))
        .bind(parameters.status.map(|status| name_of(&status)))
        .bind(parameters.q.as_deref().map(containing))
        .bind(tag)
        .bind(tag_key)
        .bind(tag_value)
        .bind(limit as i64 + 1)
        .fetch_all(&state.store.read)
        .await?;
    let probers = state.installation.probers();
    let monitors = rows
        .iter()
        .map(|row| Ok(MonitorBody::from_row(row)?.probed_by(probers)))
        .collect::<Result<_, sqlx::Error>>()?;
    let page =
        Page::new(monitors, limit, |monitor: &MonitorBody| MonitorCursor(monitor.id).encode());
    let items = add_figures(&state, identity.organization_id, page.items, include).await?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Shows a monitor; 404 of one that is archived.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}",
    tag = "monitors",
    operation_id = "showMonitor",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
    ),
    responses((status = 200, description = "The monitor.", body = ref(pulsetrail_infra::http::schema_of::<MonitorBody>()), headers(("etag" = String, description = "Its version, for `If-Match`.")))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn show(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(NoParameters {}): Parameters<NoParameters>,
) -> Result<impl IntoResponse, Problem> {
    let monitor = load_monitor_body(&state.store.read, identity.organization_id, monitor_id)
        .await?
        .ok_or_else(Problem::not_found)?
        .probed_by(state.installation.probers());
    Ok(([(header::ETAG, monitor.etag())], Json(monitor)))
}

/// A pattern for texts that contain `part` as it stands.
fn containing(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_taken_as_it_stands() {
        assert_eq!(containing("100%_a\\b"), "%100\\%\\_a\\\\b%");
    }
}
