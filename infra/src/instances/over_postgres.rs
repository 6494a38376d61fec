//! Announcing in Postgres, for every role but the prober.

use std::time::Duration;

use pulsetrail_domain::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use sqlx::types::Json;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{ALIVE, EVERY, Instance, WINDOW};
use crate::vitals::StageWindow;

/// How long rows of copies that are gone are kept: nobody reads them.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);

/// A copy that is alive.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LiveInstance {
    /// What it announced.
    #[serde(flatten)]
    pub instance: Instance,
    /// When it did.
    pub seen_at: Timestamp,
}

/// Announces a copy of a role until `shutdown`, and then that it is gone. Where Postgres is away it is
/// announced again when that is back.
pub async fn announce(
    pool: &PgPool,
    instance: Instance,
    is_ready: impl Fn() -> bool,
    shutdown: &CancellationToken,
) {
    let mut window = StageWindow::of(WINDOW);
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = clock.tick() => {}
        }
        let renewed = instance.renewed(&mut window, is_ready());
        if let Ok(Err(error)) = timeout(ALIVE, save(pool, &renewed)).await {
            tracing::debug!(role = instance.role, %error, "a role could not announce itself");
        }
    }
    let gone = sqlx::query("delete from role_instances where instance_id = $1")
        .bind(instance.instance_id)
        .execute(pool);
    // Who cannot say so is taken to be gone a little later.
    let _ = timeout(EVERY, gone).await;
}

async fn save(pool: &PgPool, instance: &Instance) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with forgotten as (
             delete from role_instances where seen_at < clock_timestamp() - $3::interval)
         insert into role_instances (instance_id, announced) values ($1, $2)
         on conflict (instance_id) do update
            set announced = excluded.announced, seen_at = clock_timestamp()",
    )
    .bind(instance.instance_id)
    .bind(Json(instance))
    .bind(FORGET_AFTER)
    .execute(pool)
    .await?;
    Ok(())
}

/// The copies that announced themselves in Postgres a moment ago, by its clock; one that this version
/// cannot read is left out.
///
/// # Errors
/// When Postgres is away.
pub async fn live_instances(pool: &PgPool) -> Result<Vec<LiveInstance>, sqlx::Error> {
    let rows: Vec<(Json<serde_json::Value>, Timestamp)> = sqlx::query_as(
        "select announced, seen_at from role_instances
         where seen_at > clock_timestamp() - $1::interval order by instance_id",
    )
    .bind(ALIVE)
    .fetch_all(pool)
    .await?;
    let read = |(Json(announced), seen_at)| {
        let instance = serde_json::from_value(announced).ok()?;
        Some(LiveInstance { instance, seen_at })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}
