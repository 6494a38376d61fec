//! Limits that all servers of an installation share: how often somebody may try to get in.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use super::{Problem, RateLimit};

/// How often rows that say nothing any more are deleted: once in so many questions.
const SWEEP_EVERY: u32 = 256;
/// How many of them at a time.
const SWEEP: i64 = 1_000;
const MINUTE_SECONDS: f64 = 60.0;

/// A limit for each subject of a kind, counted in Postgres by the generic cell rate algorithm (ITU-T
/// I.371, A), in one statement. A server that has counted too many by itself does not ask: whoever
/// floods it does not flood Postgres. Cheap to clone.
#[derive(Clone)]
pub struct SharedLimit {
    kind: &'static str,
    pool: PgPool,
    own: RateLimit<Vec<u8>>,
    number: NonZeroU32,
    seconds_each: f64,
    asked: Arc<AtomicU32>,
}

impl SharedLimit {
    /// So many a minute of each subject of `kind`.
    #[must_use]
    pub fn a_minute(kind: &'static str, number: NonZeroU32, pool: PgPool) -> Self {
        Self {
            kind,
            pool,
            own: RateLimit::a_minute(number),
            number,
            seconds_each: MINUTE_SECONDS / f64::from(number.get()),
            asked: Arc::default(),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// 429 with the time to wait where there were too many, at whichever server; 503 where Postgres does
    /// not answer.
    pub async fn count(&self, subject: &str) -> Result<(), Problem> {
        self.own.count(&self.key(subject))?;
        match self.take(subject, 1).await? {
            None => Ok(()),
            Some(wait) => Err(Problem::over_limit(self.number, wait)),
        }
    }

    /// Counts `number` more at once, or says how long it takes until there is room for them.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub(super) async fn take(
        &self,
        subject: &str,
        number: u32,
    ) -> Result<Option<Duration>, sqlx::Error> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep().await?;
        }
        let key = self.key(subject);
        let seconds = self.seconds_each * f64::from(number);
        // How far ahead of the clock a subject may be that is counted once more.
        let room = MINUTE_SECONDS - seconds;
        let counted = sqlx::query(
            "insert into rate_limits as kept (subject, free_at)
             values ($1, clock_timestamp() + make_interval(secs => $2))
             on conflict (subject) do update
                set free_at = greatest(kept.free_at, clock_timestamp()) + make_interval(secs => $2)
                where kept.free_at <= clock_timestamp() + make_interval(secs => $3)",
        )
        .bind(&key)
        .bind(seconds)
        .bind(room)
        .execute(&self.pool)
        .await?;
        if counted.rows_affected() == 1 {
            return Ok(None);
        }
        let ahead: Option<f64> = sqlx::query_scalar(
            "select extract(epoch from free_at - clock_timestamp())::float8
             from rate_limits where subject = $1",
        )
        .bind(&key)
        .fetch_optional(&self.pool)
        .await?;
        let wait = (ahead.unwrap_or_default() - room).clamp(0.0, MINUTE_SECONDS);
        Ok(Some(Duration::from_secs_f64(wait)))
    }

    /// How a subject is known in the table: nobody reads out of it who that is.
    fn key(&self, subject: &str) -> Vec<u8> {
        let digest = Sha256::new().chain_update(self.kind).chain_update([0]);
        digest.chain_update(subject).finalize().to_vec()
    }

    async fn sweep(&self) -> Result<(), sqlx::Error> {
        sqlx::query(
            "delete from rate_limits where ctid = any(array(
                 select ctid from rate_limits where free_at < clock_timestamp() limit $1
                 for update skip locked))",
        )
        .bind(SWEEP)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
