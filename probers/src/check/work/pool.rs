//! Few threads for costly work, on which organizations take turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use pulsetrail_domain::OrganizationId;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::{Budget, Exceeded, MAX_STEPS};

/// Threads of one prober that do costly work at most: half of the processors, and 4.
const MAX_THREADS: usize = 4;
/// When to look for organizations that order nothing any more.
const SWEEP_AT_LEAST: usize = 256;

/// Permits to occupy a thread. An organization holds or waits for one of them at a time. Both queues are in
/// order of arrival, so that organizations take turns however much each orders.
pub(in crate::check) struct Pool {
    threads: Arc<Semaphore>,
    turns: Mutex<HashMap<OrganizationId, Weak<Semaphore>>>,
}

impl Pool {
    /// A pool that leaves half of the processors to the runtime.
    pub(in crate::check) fn of_this_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors / 2).clamp(1, MAX_THREADS))
    }

    pub(super) fn new(threads: usize) -> Self {
        Self { threads: Arc::new(Semaphore::new(threads)), turns: Mutex::default() }
    }

    /// Does `task` on a thread of its own. The task stops by itself when its budget is used up, also when
    /// nobody waits for it any more; its permit is given back then.
    ///
    /// # Errors
    /// When the budget does not suffice, or the deadline passes before the work is done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        organization_id: OrganizationId,
        deadline: Instant,
        task: impl Fn(&mut Budget) -> Result<T, Exceeded> + Send + 'static,
    ) -> Result<T, Exceeded> {
        let turn = self.turn(organization_id);
        let work = async {
            // Neither is ever closed.
            let turn = turn.acquire_owned().await.map_err(|_| Exceeded::Time)?;
            let threads = Arc::clone(&self.threads);
            let thread = threads.acquire_owned().await.map_err(|_| Exceeded::Time)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let done = tokio::task::spawn_blocking(move || {
                let done = task(&mut Budget::new(MAX_STEPS, left));
                drop((thread, turn));
                done
            });
            // It is neither aborted nor does it panic; if it did, it did not end.
            done.await.map_err(|_| Exceeded::Time)?
        };
        timeout_at(deadline, work).await.map_err(|_elapsed| Exceeded::Time)?
    }

    #[cfg(test)]
    pub(super) fn organizations(&self) -> usize {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn turn(&self, organization_id: OrganizationId) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&organization_id).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= SWEEP_AT_LEAST {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Semaphore::new(1));
        turns.insert(organization_id, Arc::downgrade(&turn));
        turn
    }
}
