//! A backlog is worked off calmly, and never all at once.
//!
//! Jobs that come when they were emitted are made at once. Those that lay in the queue, because Kafka or
//! the probers were away, share with them a rate a little above the schedule's own, and are dropped when
//! their turn has not come by their deadline: a bucket of tokens, from which the former take even what
//! is not there yet, and the latter, one after the other, what is left. The schedule's rate is known
//! from the jobs: how many belong to each of the last seconds, by their slots. That tells the same in a
//! backlog, however fast it is read.

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
        bucket.fill();
        let is_on_time = lain < LATE;
        if is_on_time {
            // Many at once, as when monitors are registered, hold a backlog up for a second at most.
            bucket.tokens = (bucket.tokens - 1.0).max(-bucket.rate);
        }
        is_on_time
    }

    /// Waits for the turn of a job that may not be made at once; false when there is no time `left`.
    pub(super) async fn turn(&self, left: Duration) -> bool {
        let turn = async {
            let _next = self.gate.lock().await;
            loop {
                let wait = self.bucket().take();
                match wait {
                    None => return,
                    Some(wait) => sleep(wait).await,
                }
            }
        };
        timeout(left, turn).await.is_ok()
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
            self.rate = schedule_rate(self.jobs_of_second.values().copied().collect()) * ABOVE;
        }
        self.seen = self.seen.wrapping_add(1);
    }
}

/// Jobs a second, from how many belong to each: the mean, to which no second brings more than twice the
/// median, or monitors that were registered at once would count as the schedule.
fn schedule_rate(mut counts: Vec<u32>) -> f64 {
    counts.sort_unstable();
    let Some(median) = counts.get(counts.len() / 2) else { return 1.0 };
    let most = median.saturating_mul(2);
    let sum: f64 = counts.iter().map(|count| f64::from(*count.min(&most))).sum();
    (sum / counts.len() as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;

    const LEFT: Duration = Duration::from_secs(4);

    /// A pace that has seen a schedule of 100 jobs a second for some seconds.
    async fn paced(seconds: i64) -> Arc<Pace> {
        let pace = Arc::new(Pace::new());
        for job in 0..seconds * 100 {
            assert!(pace.admit(job * 10, Duration::ZERO));
            advance(Duration::from_millis(10)).await;
        }
        pace
    }

    /// Kafka was away for 20 s, whose jobs all come at once. How many are made within their 4 s, while
    /// the schedule goes on or not.
    async fn made_of_a_backlog(pace: &Arc<Pace>, schedule_goes_on: bool) -> usize {
        let made = Arc::new(AtomicUsize::new(0));
        for job in 3_000..5_000 {
            assert!(!pace.admit(job * 10, Duration::from_secs(1)));
            let (pace, made) = (Arc::clone(pace), Arc::clone(&made));
            tokio::spawn(async move {
                let turn = pace.turn(LEFT).await;
                made.fetch_add(usize::from(turn), Ordering::Relaxed);
            });
        }
        for job in 5_000..5_500 {
            if schedule_goes_on {
                assert!(pace.admit(job * 10, Duration::ZERO));
            }
            sleep(Duration::from_millis(10)).await;
        }
        made.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_and_the_schedule_together_stay_a_little_above_the_schedule() {
        let made = made_of_a_backlog(&paced(30).await, true).await;
        assert!((60..=95).contains(&made), "{made} in 4 s, beside 100 a second");
        let made = made_of_a_backlog(&paced(30).await, false).await;
        assert!((450..=495).contains(&made), "{made} in 4 s, alone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_late_job_waits_for_nothing() {
        let pace = paced(10).await;
        advance(Duration::from_secs(1)).await;
        assert!(!pace.admit(10_000, Duration::from_secs(1)));
        assert!(pace.turn(Duration::from_millis(1)).await);
    }

    /// 120 monitors at 4 s, whose phases chance has spread unevenly.
    #[test]
    fn the_rate_is_the_mean_of_uneven_seconds() {
        let counts: Vec<u32> = [22, 34, 37, 27].into_iter().cycle().take(40).collect();
        assert_eq!(schedule_rate(counts), 30.0);
        assert_eq!(schedule_rate(vec![10, 10, 10, 5_000]), 12.5);
        assert_eq!(schedule_rate(vec![]), 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn many_monitors_registered_at_once_do_not_count_as_the_schedule() {
        let pace = paced(60).await;
        for _ in 0..5_000 {
            assert!(pace.admit(60_500, Duration::ZERO));
        }
        assert!(pace.bucket().rate < 125.0);
    }
}
