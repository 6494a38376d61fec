//! Where heartbeat monitors are reported to: a token for each, of which the hash alone is kept.

use pulsetrail_domain::health::HeartbeatPolicy;
use pulsetrail_domain::monitor::MonitorConfig;
use pulsetrail_domain::{MonitorId, OrganizationId, Timestamp, timestamp_from_millis};
use pulsetrail_infra::http::secret_hash;
use sqlx::types::Json;
use sqlx::{PgPool, Row as _};

use crate::accounts::Secret;

/// Gives a monitor its token; none where it has one already, which nobody can be told again.
///
/// # Errors
/// The database's.
pub(crate) async fn issue_first(
    pool: &PgPool,
    monitor_id: MonitorId,
    organization_id: OrganizationId,
) -> Result<Option<Secret>, sqlx::Error> {
    let token = Secret::heartbeat();
    let inserted = sqlx::query(
        "insert into heartbeats (monitor_id, organization_id, token_hash) values ($1, $2, $3)
         on conflict (monitor_id) do nothing",
    )
    .bind(monitor_id.0)
    .bind(organization_id.0)
    .bind(token.hash())
    .execute(pool)
    .await?;
    Ok((inserted.rows_affected() > 0).then_some(token))
}

/// Gives a monitor a new token, and takes the one it had.
///
/// # Errors
/// The database's.
pub(crate) async fn rotate(
    pool: &PgPool,
    monitor_id: MonitorId,
    organization_id: OrganizationId,
) -> Result<Secret, sqlx::Error> {
    let token = Secret::heartbeat();
    sqlx::query(
        "insert into heartbeats (monitor_id, organization_id, token_hash) values ($1, $2, $3)
         on conflict (monitor_id) do update
            set token_hash = excluded.token_hash, issued_at = clock_timestamp()
            where heartbeats.organization_id = excluded.organization_id",
    )
    .bind(monitor_id.0)
    .bind(organization_id.0)
    .bind(token.hash())
    .execute(pool)
    .await?;
    Ok(token)
}

/// The monitor that a token is of.
pub(crate) struct Reported {
    pub(crate) monitor_id: MonitorId,
    pub(crate) organization_id: OrganizationId,
    pub(crate) config: MonitorConfig,
    pub(crate) version: i64,
    pub(crate) heartbeat: HeartbeatPolicy,
}

/// Finds the monitor of a token; none where it is nobody's, or the monitor is archived or is no
/// heartbeat any more. The look-up is by the hash: how long it takes tells nothing of the token.
///
/// # Errors
/// The database's.
pub(crate) async fn find(pool: &PgPool, token: &str) -> Result<Option<Reported>, sqlx::Error> {
    let row = sqlx::query(
        "select monitor_id, monitor_view.organization_id, config, version
         from heartbeats join monitor_view using (monitor_id)
         where token_hash = $1 and not archived",
    )
    .bind(secret_hash(token))
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Json(config) = row.try_get::<Json<MonitorConfig>, _>("config")?;
    let Some(heartbeat) = HeartbeatPolicy::of(&config) else { return Ok(None) };
    Ok(Some(Reported {
        monitor_id: MonitorId(row.try_get("monitor_id")?),
        organization_id: OrganizationId(row.try_get("organization_id")?),
        config,
        version: row.try_get("version")?,
        heartbeat,
    }))
}

/// When a report came that comes now.
pub(crate) struct ReportTimes {
    /// Its slot: its own time, or the slot of the newest report if it repeats that one.
    pub(crate) slot: Timestamp,
    /// Its own time.
    pub(crate) at: Timestamp,
}

/// The times of a report that comes now and says whether something `failed`, by the database's clock. A report
/// repeats the newest one only if both say the same. The row keeps the slot, so that all servers agree.
///
/// # Errors
/// The database's.
pub(crate) async fn report_times(
    pool: &PgPool,
    monitor_id: MonitorId,
    repeat_ms: i64,
    failed: bool,
) -> Result<ReportTimes, sqlx::Error> {
    let (slot_ms, at_ms): (i64, i64) = sqlx::query_as(
        "update heartbeats
         set newest_slot_ms = case
                 when abs(at_ms - newest_slot_ms) < $2 and newest_failed = $3 then newest_slot_ms
                 when at_ms = newest_slot_ms then at_ms + 1
                 else at_ms
             end,
             newest_failed = $3
         from (select (extract(epoch from clock_timestamp()) * 1000)::bigint as at_ms) as clock
         where monitor_id = $1 returning newest_slot_ms, at_ms",
    )
    .bind(monitor_id.0)
    .bind(repeat_ms)
    .bind(failed)
    .fetch_one(pool)
    .await?;
    let (slot, at) = (timestamp_from_millis(slot_ms), timestamp_from_millis(at_ms));
    Ok(ReportTimes { slot, at })
}

/// The path that a monitor is reported to.
pub(crate) fn path(token: Secret) -> String {
    format!("/hb/{}", token.reveal())
}
