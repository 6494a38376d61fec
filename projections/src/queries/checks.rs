//! `GET /monitors/{id}/checks`: what the checks of a monitor found out, newest first.

use axum::Json;
use axum::extract::State;
use clickhouse::Client;
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::{Position, Timestamp};
use pulsetrail_infra::clickhouse::ClickHouseError;
use pulsetrail_infra::http::{Identity, Page, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cursor::CheckCursor;
use super::extract::{MonitorPath, Parameters, page_limit};
use super::{QueryState, require_monitor};
use crate::analytics::{CheckRow, UnreadableCheck};

/// Which checks are listed: those scheduled from `from` on and before `to`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParameters {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A check: the fields of its event, and where in the log it stands.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CheckBody {
    position: Position,
    recorded_at: Timestamp,
    #[serde(flatten)]
    result: CheckResult,
}

/// Lists what the checks of a monitor found out, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/monitors/{id}/checks",
    tag = "history",
    operation_id = "listChecks",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("from" = Option<String>, Query, description = "Only those scheduled from then on.", format = DateTime),
        ("to" = Option<String>, Query, description = "Only those scheduled before then.", format = DateTime),
        ("limit" = Option<u16>, Query, description = "Items on a page; 100 where it is left out.", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before."),
    ),
    responses((status = 200, description = "A page of checks, newest first.", body = ref(pulsetrail_infra::http::schema_of::<Page<CheckBody>>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(super) async fn list(
    identity: Identity,
    State(state): State<QueryState>,
    MonitorPath(monitor_id): MonitorPath,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<Page<CheckBody>>, Problem> {
    let limit = page_limit(parameters.limit)?;
    let before = parameters.cursor.as_deref().map(CheckCursor::decode).transpose()?;
    require_monitor(&state.store, identity.organization_id, monitor_id).await?;
    let rows = Selection {
        organization_id: identity.organization_id.0,
        monitor_id: monitor_id.0,
        from: parameters.from.map_or(i64::MIN, |from| from.timestamp_micros()),
        to: parameters.to.map_or(i64::MAX, |to| to.timestamp_micros()),
        before: before.unwrap_or(CheckCursor { scheduled_at: i64::MAX, position: i64::MAX }),
    }
    .read(&state.clickhouse, limit + 1)
    .await?;
    let checks = rows
        .into_iter()
        .map(|row| {
            let (position, recorded_at) = (Position(row.position), row.recorded_at);
            Ok(CheckBody { position, recorded_at, result: row.result()? })
        })
        .collect::<Result<_, _>>()
        .map_err(|error: UnreadableCheck| Problem::internal(error))?;
    Ok(Json(Page::new(checks, limit, |check: &CheckBody| {
        let scheduled_at = check.result.scheduled_at.timestamp_micros();
        CheckCursor { scheduled_at, position: check.position.0 }.encode()
    })))
}

/// Some of a monitor's checks; times in microseconds since the epoch.
struct Selection {
    organization_id: Uuid,
    monitor_id: Uuid,
    from: i64,
    to: i64,
    before: CheckCursor,
}

impl Selection {
    /// At most `limit` of them, newest first.
    async fn read(&self, client: &Client, limit: usize) -> Result<Vec<CheckRow>, ClickHouseError> {
        let latest = self.to.saturating_sub(1).min(self.before.scheduled_at);
        client
            .query(
                "select ?fields from checks final
                 where organization_id = ? and monitor_id = ?
                   and scheduled_at >= fromUnixTimestamp64Micro(?)
                   and scheduled_at <= fromUnixTimestamp64Micro(?)
                   and (scheduled_at < fromUnixTimestamp64Micro(?) or position < ?)
                 order by scheduled_at desc, position desc limit ?",
            )
            .bind(self.organization_id.to_string())
            .bind(self.monitor_id.to_string())
            .bind(within_range(self.from))
            .bind(within_range(latest))
            .bind(within_range(self.before.scheduled_at))
            .bind(self.before.position)
            .bind(limit)
            .fetch_all()
            .await
    }
}

/// The nearest moment that the stores can hold.
pub(super) fn storable(moment: Timestamp) -> Timestamp {
    let within = within_range(moment.timestamp_micros());
    Timestamp::from_timestamp_micros(within).unwrap_or_default()
}

/// A moment that ClickHouse can hold: 1900 to 2299 (DateTime64).
pub(super) fn within_range(microseconds: i64) -> i64 {
    microseconds.clamp(-2_208_988_800_000_000, 10_413_791_999_000_000)
}
