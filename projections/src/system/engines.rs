//! Whether the engines answer.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::body::EngineBody;

/// How long an engine may take for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks an engine something, and returns the answer beside whether it came.
pub(super) async fn ask<T, E: std::fmt::Display>(
    engine: &'static str,
    question: impl Future<Output = Result<T, E>>,
) -> (Option<T>, EngineBody) {
    let begun = Instant::now();
    let answer = match timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(engine, %error, "an engine does not answer");
            None
        }
        Err(_) => None,
    };
    let answered_in_ms = answer.is_some().then(|| begun.elapsed().as_secs_f64() * 1_000.0);
    (answer, EngineBody { engine, available: answered_in_ms.is_some(), answered_in_ms })
}
