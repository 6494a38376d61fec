//! Background tasks whose end is noticed.
//!
//! A task of plain `tokio::spawn` whose handle is dropped dies in silence: what it did for its role is not
//! done any more, and `/readyz` stays green. A [`Supervisor`] owns such tasks. A panic is logged and
//! counted, and either the task is started again, or its role is not ready from then on.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use pulsetrail_infra::supervised::Supervisor;
//! use tokio_util::sync::CancellationToken;
//!
//! let (supervisor, shutdown) = (Supervisor::default(), CancellationToken::new());
//! // Ends by itself when its work is done. A panic makes the role unready for good.
//! let once = supervisor.spawn("warm-up", async { /* … */ });
//! // Runs until `shutdown`. If it panics or returns earlier, it is started again after a pause, and the
//! // role is unready meanwhile.
//! let kept = supervisor.keep_running("follower", &shutdown, {
//!     let shutdown = shutdown.clone();
//!     move || shutdown.clone().cancelled_owned()
//! });
//! assert!(supervisor.is_healthy());
//! shutdown.cancel();
//! let _ = tokio::join!(once, kept);
//! # });
//! ```

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// How long a task that failed is at rest before it is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Owns the background tasks of one role. Clones are the same supervisor.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    failed: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Supervisor {
    /// Runs `work` as a task of its own. It may end by itself; if it panics, the role is not ready any
    /// more until a task of that name is spawned again. `name` is unique within the role, and is a label of
    /// a metric.
    ///
    /// Must be called within a Tokio runtime. Who aborts the handle ends the task without a failure.
    pub fn spawn<F>(&self, name: &'static str, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.failed().remove(name);
        let supervisor = self.clone();
        tokio::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
                supervisor.note_failure(name, message(&*panic));
                tracing::error!(task = name, "the task is not started again: restart the process");
            }
        })
    }

    /// Runs what `start` gives until `shutdown` is cancelled, at which it has to end by itself. If it
    /// panics or returns before, that is a failure: the role is not ready, and after a second `start` is
    /// called again.
    ///
    /// Must be called within a Tokio runtime.
    pub fn keep_running<F>(
        &self,
        name: &'static str,
        shutdown: &CancellationToken,
        mut start: impl FnMut() -> F + Send + 'static,
    ) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (supervisor, shutdown) = (self.clone(), shutdown.clone());
        tokio::spawn(async move {
            while !shutdown.is_cancelled() {
                supervisor.failed().remove(name);
                let ended = AssertUnwindSafe(async { start().await }).catch_unwind().await;
                match ended {
                    Ok(()) if shutdown.is_cancelled() => return,
                    Ok(()) => supervisor.note_failure(name, "it returned before the shutdown"),
                    Err(panic) => supervisor.note_failure(name, message(&*panic)),
                }
                let rest = tokio::time::sleep(RESTART_AFTER);
                shutdown.run_until_cancelled(rest).await;
            }
        })
    }

    /// Whether no task has failed, or those that have run again.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.failed().is_empty()
    }

    fn note_failure(&self, name: &'static str, reason: &str) {
        tracing::error!(task = name, reason, "a background task failed: the role is not ready");
        metrics::task_failed(name);
        self.failed().insert(name);
    }

    fn failed(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        // Nothing that is done under the lock leaves it half done.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_no_failure_and_one_that_panics_is() {
        let supervisor = Supervisor::default();
        supervisor.spawn("good", async {}).await.unwrap();
        assert!(supervisor.is_healthy());
        supervisor.spawn("bad", async { panic!("a bug") }).await.unwrap();
        assert!(!supervisor.is_healthy());
        supervisor.spawn("bad", async {}).await.unwrap();
        assert!(supervisor.is_healthy(), "it was started again");
        let handle = supervisor.spawn("aborted", std::future::pending());
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
        assert!(supervisor.is_healthy());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_to_run_is_started_again_and_the_role_is_unready_meanwhile() {
        let (supervisor, shutdown) = (Supervisor::default(), CancellationToken::new());
        let starts = Arc::new(AtomicUsize::new(0));
        let kept = supervisor.keep_running("kept", &shutdown, {
            let (starts, shutdown) = (starts.clone(), shutdown.clone());
            move || {
                let (number, shutdown) = (starts.fetch_add(1, Ordering::SeqCst), shutdown.clone());
                async move {
                    match number {
                        0 => panic!("a bug"),
                        1 => {}
                        _ => shutdown.cancelled().await,
                    }
                }
            }
        });
        for runs in 1..=2 {
            tokio::time::sleep(RESTART_AFTER / 2).await;
            assert_eq!((starts.load(Ordering::SeqCst), supervisor.is_healthy()), (runs, false));
            tokio::time::sleep(RESTART_AFTER / 2).await;
        }
        tokio::time::sleep(RESTART_AFTER / 2).await;
        assert_eq!((starts.load(Ordering::SeqCst), supervisor.is_healthy()), (3, true));
        shutdown.cancel();
        kept.await.unwrap();
        assert!(supervisor.is_healthy(), "an end at the shutdown is no failure");
    }
}
