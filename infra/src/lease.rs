//! Of some roles one copy of a cell is active: the one that holds the role's lease.
//!
//! A lease is a row with an epoch. Its holder renews it every 500 ms; who finds it expired, by the
//! database's clock, takes it over with the next epoch. A holder that could not renew in time stops
//! its work by its own monotonic clock, before another can have taken over.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::instances::process_id;

/// How often a holder renews.
const RENEW_EVERY: Duration = Duration::from_millis(500);
/// How long a lease lasts without being renewed.
const LASTS: Duration = Duration::from_secs(2);
/// When a holder that could not renew gives up: before [`LASTS`] is over.
const GIVE_UP_AFTER: Duration = Duration::from_millis(1_600);

/// A lease that is held.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The role.
    pub name: String,
    /// How often the lease has changed hands.
    pub epoch: i64,
    /// Cancelled when the lease is lost or the process is told to stop: stop working then.
    pub lost: CancellationToken,
}

/// Works under a lease whenever it is to be had, until `shutdown`. `work` is started anew with each
/// lease, and must return soon after [`Lease::lost`] is cancelled; when it returns by itself, with an
/// error, it is started again after a second.
pub async fn work_under_lease<E, F>(
    pool: &PgPool,
    name: &str,
    shutdown: &CancellationToken,
    mut work: impl FnMut(Lease) -> F,
) where
    E: std::fmt::Display,
    F: Future<Output = Result<(), E>>,
{
    let holder = process_id();
    while !shutdown.is_cancelled() {
        let asked_at = Instant::now();
        let epoch = match take(pool, name, holder).await {
            Ok(epoch) => epoch,
            Err(wait) => {
                pause(wait, shutdown).await;
                continue;
            }
        };
        tracing::info!(lease.name = name, lease.epoch = epoch, "the lease is held");
        let lost = shutdown.child_token();
        let lease = Lease { name: name.to_owned(), epoch, lost: lost.clone() };
        let renewal = renew(pool, name, holder, epoch, asked_at, &lost);
        let (worked, ()) = tokio::join!(
            async {
                let worked = work(lease).await;
                lost.cancel();
                worked
            },
            renewal
        );
        release(pool, name, holder, epoch).await;
        if let Err(error) = worked {
            tracing::warn!(lease.name = name, %error, "the work under the lease failed and starts anew");
            pause(Duration::from_secs(1), shutdown).await;
        }
    }
}

async fn pause(time: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = shutdown.cancelled() => {}
    }
}

/// Takes the lease and returns its epoch, or how long to wait before asking again: never longer than
/// the lease of another lasts.
async fn take(pool: &PgPool, name: &str, holder: Uuid) -> Result<i64, Duration> {
    let taken: Result<Option<i64>, sqlx::Error> = sqlx::query_scalar(
        "insert into leases (name, holder, epoch, expires_at)
         values ($1, $2, 1, clock_timestamp() + $3)
         on conflict (name) do update
            set holder = excluded.holder, epoch = leases.epoch + 1, expires_at = excluded.expires_at
            where leases.expires_at < clock_timestamp()
         returning epoch",
    )
    .bind(name)
    .bind(holder)
    .bind(LASTS)
    .fetch_optional(pool)
    .await;
    let remaining = match taken {
        Ok(Some(epoch)) => return Ok(epoch),
        Ok(None) => remaining(pool, name).await,
        Err(error) => Err(error),
    };
    Err(match remaining {
        Ok(remaining) => remaining.min(RENEW_EVERY),
        Err(error) => {
            tracing::warn!(lease.name = name, %error, "the lease cannot be asked for");
            RENEW_EVERY
        }
    })
}

/// How long the lease of another lasts if it is not renewed.
async fn remaining(pool: &PgPool, name: &str) -> Result<Duration, sqlx::Error> {
    let seconds: Option<f64> = sqlx::query_scalar(
        "select extract(epoch from expires_at - clock_timestamp())::float8
         from leases where name = $1",
    )
    .bind(name)
    .fetch_optional(pool)
    .await?;
    // A little longer: it has to be over when it is asked for.
    Ok(Duration::from_secs_f64(seconds.unwrap_or_default().clamp(0.0, 60.0) + 0.002))
}

async fn renew(
    pool: &PgPool,
    name: &str,
    holder: Uuid,
    epoch: i64,
    asked_at: Instant,
    lost: &CancellationToken,
) {
    let mut safe_until = asked_at + GIVE_UP_AFTER;
    loop {
        tokio::select! {
            () = lost.cancelled() => return,
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
        let asked_at = Instant::now();
        // Commands wait for the disk, and this need not: a crash of Postgres that loses the newest renewals
        // ends the lease a little early, and the next epoch fences off whoever still works under it.
        let renewal = sqlx::query(
            "update leases set expires_at = clock_timestamp() + $4
             from set_config('synchronous_commit', 'off', true)
             where name = $1 and holder = $2 and epoch = $3 and expires_at > clock_timestamp()",
        )
        .bind(name)
        .bind(holder)
        .bind(epoch)
        .bind(LASTS)
        .execute(pool);
        match tokio::time::timeout_at(safe_until, renewal).await {
            Ok(Ok(done)) if done.rows_affected() == 1 => safe_until = asked_at + GIVE_UP_AFTER,
            Ok(Err(error)) if Instant::now() < safe_until => {
                tracing::warn!(lease.name = name, %error, "the lease could not be renewed yet");
            }
            _ => {
                tracing::warn!(lease.name = name, lease.epoch = epoch, "the lease is lost");
                lost.cancel();
                return;
            }
        }
    }
}

async fn release(pool: &PgPool, name: &str, holder: Uuid, epoch: i64) {
    let released = sqlx::query(
        "update leases set expires_at = clock_timestamp() - interval '1 ms'
         where name = $1 and holder = $2 and epoch = $3",
    )
    .bind(name)
    .bind(holder)
    .bind(epoch)
    .execute(pool);
    // A lease that cannot be given back runs out by itself.
    let _ = tokio::time::timeout(Duration::from_secs(1), released).await;
}
