//! Limits that all servers of an installation share, of what happens too often to be counted in Postgres
//! each time.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::{Problem, SharedLimit};

/// A server takes one of so many parts of a minute's number at a time.
const SHARES: u32 = 100;
/// How long a server may use a share that it has taken.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// How often shares that are over are forgotten: once in so many questions.
const SWEEP_EVERY: u32 = 1_024;

/// A limit for each subject of a kind, which a server takes in shares of a hundredth from what all have
/// together, and uses up by itself: one statement for so many. Together they let through as many as the
/// limit says, and one share a server more at most. Cheap to clone.
#[derive(Clone)]
pub struct SharesLimit {
    limit: SharedLimit,
    number: NonZeroU32,
    size: u32,
    shares: Arc<Mutex<HashMap<String, Arc<AsyncMutex<Share>>>>>,
    asked: Arc<AtomicU32>,
}

/// What a server has of a subject's limit, and until when that holds.
enum Share {
    /// So many may come yet.
    Left(u32, Instant),
    /// No share is to be had.
    Refused(Instant),
}

impl Share {
    /// How many may come yet.
    fn left(&self, now: Instant) -> u32 {
        match self {
            Self::Left(left, until) if *until > now => *left,
            Self::Left(..) | Self::Refused(_) => 0,
        }
    }

    /// Whether it says nothing any more, and another share is to be asked for.
    fn is_over(&self, now: Instant) -> bool {
        match self {
            Self::Left(left, until) => *left == 0 || *until <= now,
            Self::Refused(until) => *until <= now,
        }
    }
}

impl SharesLimit {
    /// So many a minute of each subject of `kind`.
    #[must_use]
    pub fn a_minute(kind: &'static str, number: NonZeroU32, pool: PgPool) -> Self {
        Self {
            limit: SharedLimit::a_minute(kind, number, pool),
            number,
            size: (number.get() / SHARES).max(1),
            shares: Arc::default(),
            asked: Arc::default(),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// 429 with the time to wait where there were too many, at whichever server; 503 where Postgres does
    /// not answer.
    pub async fn count(&self, subject: &str) -> Result<(), Problem> {
        self.count_many(subject, 1).await
    }

    /// Counts `number` more, at most as many as there may be in a minute. Either all of them are let
    /// through or none.
    ///
    /// # Errors
    /// As [`SharesLimit::count`].
    pub async fn count_many(&self, subject: &str, number: u32) -> Result<(), Problem> {
        let number = number.min(self.number.get());
        let share = self.share_of(subject);
        // Who comes while a share is being taken waits for it: a burst takes one, not one each.
        let mut share = share.lock().await;
        let now = Instant::now();
        let kept = share.left(now);
        if !matches!(&*share, Share::Refused(until) if *until > now) && kept < number {
            let size = self.size.max(number - kept);
            *share = match self.limit.take(subject, size).await? {
                None => Share::Left(kept + size, now + GOOD_FOR),
                // There may be room for fewer.
                Some(wait) if number > 1 => return Err(Problem::over_limit(self.number, wait)),
                Some(wait) => Share::Refused(now + wait),
            };
        }
        match &mut *share {
            Share::Left(left, _) => {
                *left = left.saturating_sub(number);
                Ok(())
            }
            Share::Refused(until) => Err(Problem::over_limit(self.number, *until - now)),
        }
    }

    fn share_of(&self, subject: &str) -> Arc<AsyncMutex<Share>> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            let now = Instant::now();
            shares.retain(|_, share| share.try_lock().map_or(true, |share| !share.is_over(now)));
        }
        if let Some(share) = shares.get(subject) {
            return share.clone();
        }
        let none = Arc::new(AsyncMutex::new(Share::Left(0, Instant::now())));
        shares.insert(subject.to_owned(), none.clone());
        none
    }
}
