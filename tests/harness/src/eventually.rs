//! Waiting for what must come true, and not longer than it takes.

use std::time::Duration;

use tokio::time::Instant;

/// How long [`eventually`] waits.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until `attempt` gives a value, for [`PATIENCE`] at most.
///
/// # Panics
/// When it has not come true by then, with `what`.
pub async fn eventually<T>(what: &str, attempt: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, attempt).await
}

/// As [`eventually`], for as long as `patience`.
///
/// # Panics
/// When it has not come true by then, with `what`.
pub async fn within<T>(
    patience: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
