//! Attempts within one check, with exponential back-off and full jitter between them
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

use pulsetrail_domain::check::{AttemptSummary, Outcome};
use pulsetrail_domain::monitor::Retries;
use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::attempt::Attempt;

/// Tries until an attempt is up, is refused by the shield, is the last one, or no time is left for
/// another. Returns the last attempt and what each came to.
pub(super) async fn until_settled<F: Future<Output = Attempt>>(
    retries: &Retries,
    deadline: Instant,
    mut attempt: impl FnMut() -> F,
) -> (Attempt, Vec<AttemptSummary>) {
    let began = Instant::now();
    let mut all = Vec::with_capacity(1);
    let mut made = 1;
    loop {
        let after_ms = millis(began.elapsed());
        let ended = attempt().await;
        let took_ms = millis(began.elapsed()).saturating_sub(after_ms);
        all.push(summary(&ended, after_ms, took_ms));
        if ended.outcome != Outcome::Down || made >= retries.max_attempts {
            return (ended, all);
        }
        let wait = rand::rng().random_range(Duration::ZERO..=longest_wait(retries, made));
        if Instant::now() + wait >= deadline {
            return (ended, all);
        }
        sleep(wait).await;
        made += 1;
    }
}

fn summary(ended: &Attempt, after_ms: u32, took_ms: u32) -> AttemptSummary {
    AttemptSummary {
        after_ms,
        took_ms,
        outcome: ended.outcome,
        http_status: ended.http_status,
        cause: ended.failure.as_ref().map(|failure| failure.cause),
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// The longest wait after `made` attempts.
fn longest_wait(retries: &Retries, made: u32) -> Duration {
    let factor = u64::from(retries.multiplier).saturating_pow(made.saturating_sub(1));
    let wait = u64::from(retries.initial_backoff_ms).saturating_mul(factor);
    Duration::from_millis(wait.min(retries.max_backoff_ms.into()))
}

#[cfg(test)]
mod unit_tests {
    use pulsetrail_domain::check::{Findings, TimingsUs};

    use super::*;

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            outcome,
            http_status: None,
            failure: None,
            timings_us: TimingsUs::default(),
            refusal: None,
            findings: Findings::default(),
        }
    }

    const RETRIES: Retries =
        Retries { max_attempts: 5, initial_backoff_ms: 100, multiplier: 3, max_backoff_ms: 1_000 };

    async fn made(outcomes: &[Outcome], time: Duration) -> (Outcome, usize) {
        let mut outcomes = outcomes.iter();
        let deadline = Instant::now() + time;
        let (last, all) = until_settled(&RETRIES, deadline, || {
            let outcome = *outcomes.next().unwrap();
            async move { attempt(outcome) }
        })
        .await;
        let outcomes: Vec<Outcome> = all.iter().map(|one| one.outcome).collect();
        assert_eq!(outcomes.last(), Some(&last.outcome));
        assert!(all.windows(2).all(|two| two[0].after_ms <= two[1].after_ms));
        (last.outcome, outcomes.len())
    }

    #[test]
    fn the_wait_grows_up_to_its_limit() {
        let waits: Vec<u128> = (1..6).map(|n| longest_wait(&RETRIES, n).as_millis()).collect();
        assert_eq!(waits, [100, 300, 900, 1_000, 1_000]);
        let extreme = Retries { multiplier: 10, ..RETRIES };
        assert_eq!(longest_wait(&extreme, u32::MAX).as_millis(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_ends_with_its_first_success_or_refusal_or_its_last_attempt() {
        use Outcome::{Blocked, Down, Up};
        let long = Duration::from_secs(60);
        assert_eq!(made(&[Up], long).await, (Up, 1));
        assert_eq!(made(&[Down, Down, Up], long).await, (Up, 3));
        assert_eq!(made(&[Down, Blocked], long).await, (Blocked, 2));
        assert_eq!(made(&[Down; 5], long).await, (Down, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_begins_after_the_deadline() {
        let (outcome, made) = made(&[Outcome::Down; 5], Duration::ZERO).await;
        assert_eq!((outcome, made), (Outcome::Down, 1));
    }
}
