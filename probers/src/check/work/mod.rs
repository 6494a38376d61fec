//! Work that strangers order: it runs under a budget, and what takes long runs off the runtime's threads.
//!
//! See `docs/decisions/bounded-checks.md`.

mod budget;
mod pool;

use std::sync::Arc;
use std::time::Duration;

use pulsetrail_domain::OrganizationId;
use tokio::time::Instant;

pub(crate) use budget::{Budget, Exceeded};
pub(super) use pool::Pool;

/// What one attempt of a check may order, in steps. A step is the visit of one value, or one byte of a search,
/// and takes about 5 to 10 ns.
pub(crate) const MAX_STEPS: u64 = 1 << 25;
/// What of it may run on the runtime's threads, in steps and in time.
const INLINE_STEPS: u64 = 1 << 18;
const INLINE_TIME: Duration = Duration::from_millis(2);

/// Runs the costly work of one check.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) pool: Arc<Pool>,
    /// Whose check it is: organizations take turns.
    pub(super) organization_id: OrganizationId,
    pub(super) deadline: Instant,
}

impl Work {
    /// Does `task` at once if it is cheap. Otherwise it is done from the beginning on a thread of the pool,
    /// when the organization's turn comes.
    ///
    /// # Errors
    /// When the budget does not suffice, or the deadline passes before the work is done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        task: impl Fn(&mut Budget) -> Result<T, Exceeded> + Send + 'static,
    ) -> Result<T, Exceeded> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if let Ok(done) = task(&mut Budget::new(INLINE_STEPS, left.min(INLINE_TIME))) {
            return Ok(done);
        }
        self.pool.run(self.organization_id, self.deadline, task).await
    }
}

#[cfg(test)]
mod tests;
