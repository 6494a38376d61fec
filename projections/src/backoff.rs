//! Waiting longer after each failure in a row.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the next attempt: 200 ms, and twice as long each time, up to 5 s.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// After a success the next failure waits shortly again.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits, but not beyond the cancellation.
    pub(crate) async fn wait(&mut self, cancelled: &CancellationToken) {
        let time = self.next;
        self.next = (time * 2).min(LONGEST);
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = cancelled.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_a_limit_and_begin_anew_after_a_success() {
        let never = CancellationToken::new();
        let mut backoff = Backoff::new();
        let mut waits = Vec::new();
        for _ in 0..7 {
            let began = tokio::time::Instant::now();
            backoff.wait(&never).await;
            waits.push(began.elapsed().as_millis());
        }
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.reset();
        let began = tokio::time::Instant::now();
        backoff.wait(&never).await;
        assert_eq!(began.elapsed().as_millis(), 200);
    }
}
