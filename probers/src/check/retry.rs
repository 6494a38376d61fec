//! Attempts within one check, with exponential back-off and full jitter between them
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).

use std::time::Duration;

use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::monitor::Retries;
use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::attempt::Attempt;

/// Tries until an attempt is up, is refused by the shield, is the last one, or no time is left for
/// another. Returns the last attempt and how many there were.
pub(super) async fn until_settled<F: Future<Output = Attempt>>(
    retries: &Retries,
    deadline: Instant,
    mut attempt: impl FnMut() -> F,
) -> (Attempt, u32) {
    let mut made = 1;
    loop {
        let ended = attempt().await;
        if ended.outcome != Outcome::Down || made >= retries.max_attempts {
            return (ended, made);
        }
        let wait = rand::rng().random_range(Duration::ZERO..=longest_wait(retries, made));
        if Instant::now() + wait >= deadline {
            return (ended, made);
        }
        sleep(wait).await;
        made += 1;
    }
}

/// The longest wait after `made` attempts.
fn longest_wait(retries: &Retries, made: u32) -> Duration {
    let factor = u64::from(retries.multiplier).saturating_pow(made.saturating_sub(1));
    let wait = u64::from(retries.initial_backoff_ms).saturating_mul(factor);
    Duration::from_millis(wait.min(retries.max_backoff_ms.into()))
}

#[cfg(test)]
mod unit_tests {
    use pulsetrail_domain::check::TimingsUs;

    use super::*;

    fn attempt(outcome: Outcome) -> Attempt {
        Attempt {
            outcome,
            http_status: None,
            failure: None,
            timings_us: TimingsUs::default(),
            refusal: None,
        }
    }

    const RETRIES: Retries =
        Retries { max_attempts: 5, initial_backoff_ms: 100, multiplier: 3, max_backoff_ms: 1_000 };

    async fn made(outcomes: &[Outcome], time: Duration) -> (Outcome, u32) {
        let mut outcomes = outcomes.iter();
        let deadline = Instant::now() + time;
        let (last, made) = until_settled(&RETRIES, deadline, || {
            let outcome = *outcomes.next().unwrap();
            async move { attempt(outcome) }
        })
        .await;
        (last.outcome, made)
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
