//! A backlog is worked off calmly, but no check is lost for that.
//!
//! A job that comes when it was emitted is made at once. Jobs that lay in the queue, because Kafka or the
//! probers were away or stalled, share a rate a little above the schedule's own with the punctual jobs: a
//! bucket of tokens, from which a punctual job takes even a token that is not there yet, and the late jobs,
//! one after the other, what is left. A late job waits so for half of the time that it has, and is made then
//! in any case. The schedule's rate is known from the jobs: how many belong to each of the last seconds, by
//! their slots. That tells the same in a backlog, however fast it is read.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long after it was emitted a job has lain in the queue.
const LATE: Duration = Duration::from_millis(250);
/// The rate of a backlog and the schedule together, in rates of the schedule.
const ABOVE: f64 = 1.2;
/// For how long tokens are saved up.
const SAVED: Duration = Duration::from_millis(100);
/// Seconds of the schedule that the rate is known from.
const SECONDS: usize = 60;
/// The newest of them, which tell sooner that monitors were added.
const NEWEST_SECONDS: usize = 10;
/// After how many jobs the rate is looked at again.
const LOOK_EVERY: u32 = 32;

/// When jobs are made.
#[derive(Debug)]
pub(super) struct Pace {
    bucket: Mutex<Bucket>,
    /// Late jobs wait here for the one whose turn is next; the lock is fair.
    gate: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    jobs_of_second: BTreeMap<i64, u32>,
    seen: u32,
    /// Tokens that come in a second.
    rate: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        let bucket = Bucket {
            jobs_of_second: BTreeMap::new(),
            seen: 0,
            rate: ABOVE,
            tokens: 1.0,
            filled_at: Instant::now(),
        };
        Self { bucket: Mutex::new(bucket), gate: tokio::sync::Mutex::default() }
    }

    /// Counts a job of a slot that has lain in the queue for `lain`, and whether it may be made at once.
    pub(super) fn admit(&self, slot_ms: i64, lain: Duration) -> bool {
        let mut bucket = self.bucket();
        bucket.count(slot_ms);
        let is_on_time = lain < LATE;
        if is_on_time {
            bucket.borrow();
        }
        is_on_time
    }

    /// Waits for the turn of a job that may not be made at once: for half of the time that is `left` at
    /// most, so that the rest is there to wait for permits.
    pub(super) async fn turn(&self, left: Duration) {
        if timeout(left / 2, self.token()).await.is_err() {
            self.bucket().borrow();
        }
    }

    /// Waits for a token. The jobs that wait get one in the order in which they came.
    async fn token(&self) {
        let _next = self.gate.lock().await;
        loop {
            let wait = self.bucket().take();
            match wait {
                None => return,
                Some(wait) => sleep(wait).await,
            }
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    /// Takes a token, or says when there may be one.
    fn take(&mut self) -> Option<Duration> {
        self.fill();
        if self.tokens < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - self.tokens) / self.rate);
            return Some(wait.max(Duration::from_millis(1)));
        }
        self.tokens -= 1.0;
        None
    }

    /// Takes a token that may not be there yet. Many at once, as when monitors are registered, hold a
    /// backlog up for a second at most.
    fn borrow(&mut self) {
        self.fill();
        self.tokens = (self.tokens - 1.0).max(-self.rate);
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let came = (now - self.filled_at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + came).min((self.rate * SAVED.as_secs_f64()).max(1.0));
        self.filled_at = now;
    }

    fn count(&mut self, slot_ms: i64) {
        *self.jobs_of_second.entry(slot_ms.div_euclid(1_000)).or_default() += 1;
        if self.jobs_of_second.len() > SECONDS {
            self.jobs_of_second.pop_first();
        }
        if self.seen.is_multiple_of(LOOK_EVERY) {
            self.rate = schedule_rate(&self.jobs_of_second) * ABOVE;
        }
        self.seen = self.seen.wrapping_add(1);
    }
}

/// Jobs a second, from how many belong to each: the mean of all seconds, or of the newest ones if that is
/// more, as it is when monitors were added.
fn schedule_rate(jobs_of_second: &BTreeMap<i64, u32>) -> f64 {
    let counts = jobs_of_second.values().rev().copied();
    mean(counts.clone().take(NEWEST_SECONDS)).max(mean(counts)).max(1.0)
}

/// The mean, to which no second brings more than twice the median: monitors that are registered together
/// have their first slot in the same second.
fn mean(counts: impl Iterator<Item = u32>) -> f64 {
    let mut counts: Vec<u32> = counts.collect();
    counts.sort_unstable();
    let Some(median) = counts.get(counts.len() / 2) else { return 0.0 };
    let most = median.saturating_mul(2);
    let sum: f64 = counts.iter().map(|count| f64::from(*count.min(&most))).sum();
    sum / counts.len() as f64
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
