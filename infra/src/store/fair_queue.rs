//! A queue in which every organization has a line of its own. The lines are served in turns, so that nobody
//! waits for what another organization has queued up.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pulsetrail_domain::OrganizationId;
use tokio::sync::Notify;

/// The organization's line is full. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineFull;

/// Lines of items, for one consumer.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// How many items may wait in one line.
    length: usize,
    lines: Mutex<Lines<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct Lines<T> {
    /// Only those in which somebody waits.
    of: HashMap<OrganizationId, VecDeque<T>>,
    /// Their owners, the next one first.
    turns: VecDeque<OrganizationId>,
    closed: bool,
}

impl<T> FairQueue<T> {
    /// An empty one, in whose lines `length` items may wait each.
    pub(super) fn new(length: usize) -> Self {
        let lines = Lines { of: HashMap::new(), turns: VecDeque::new(), closed: false };
        Self { length, lines: Mutex::new(lines), changed: Notify::new() }
    }

    /// Queues an item of an organization.
    ///
    /// # Errors
    /// [`LineFull`].
    pub(super) fn push(&self, organization: OrganizationId, item: T) -> Result<(), LineFull> {
        let mut guard = self.lines();
        let lines = &mut *guard;
        let line = lines.of.entry(organization).or_default();
        if line.len() >= self.length {
            return Err(LineFull);
        }
        if line.is_empty() {
            lines.turns.push_back(organization);
        }
        line.push_back(item);
        drop(guard);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for items, and takes `most` at most: one of each line in turn. Empty once the queue is closed
    /// and nobody waits any more.
    pub(super) async fn take(&self, most: usize) -> Vec<T> {
        loop {
            let taken = self.take_now(most);
            match taken {
                Some(taken) => return taken,
                // For one consumer no change is missed: a notification is kept for it.
                None => self.changed.notified().await,
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.lines().closed = true;
        self.changed.notify_one();
    }

    /// None where nobody waits yet.
    fn take_now(&self, most: usize) -> Option<Vec<T>> {
        let mut guard = self.lines();
        let lines = &mut *guard;
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(organization) = lines.turns.pop_front() else { break };
            let Some(line) = lines.of.get_mut(&organization) else { continue };
            taken.extend(line.pop_front());
            if line.is_empty() {
                lines.of.remove(&organization);
            } else {
                lines.turns.push_back(organization);
            }
        }
        (!taken.is_empty() || lines.closed).then_some(taken)
    }

    fn lines(&self) -> MutexGuard<'_, Lines<T>> {
        // Nothing that is done under the lock leaves it half done.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn organization(number: u128) -> OrganizationId {
        OrganizationId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn lines_are_served_in_turns() {
        let queue = FairQueue::new(1_000);
        for number in 0..1_000 {
            queue.push(organization(1), (1, number)).unwrap();
        }
        queue.push(organization(2), (2, 0)).unwrap();
        queue.push(organization(2), (2, 1)).unwrap();
        queue.push(organization(3), (3, 0)).unwrap();
        let expected = [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (1, 2)];
        assert_eq!(queue.take(6).await, expected, "each in its own order");
        assert_eq!(queue.take(2_000).await.len(), 997);
        assert!(queue.take(1).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_line_has_its_length_and_others_are_not_concerned() {
        let queue = FairQueue::new(2);
        assert_eq!(
            [1, 2, 3].map(|item| queue.push(organization(1), item).is_ok()),
            [true, true, false]
        );
        assert_eq!(queue.push(organization(2), 4), Ok(()));
        assert_eq!(queue.take(9).await, [1, 4, 2]);
        assert_eq!(queue.push(organization(1), 5), Ok(()));
        queue.close();
        assert_eq!(queue.take(9).await, [5], "what waits is still taken");
        assert!(queue.take(9).await.is_empty());
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let queue = std::sync::Arc::new(FairQueue::new(2));
        let taking = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.take(9).await, queue.take(9).await) }
        });
        tokio::task::yield_now().await;
        queue.push(organization(1), 7).unwrap();
        queue.close();
        assert_eq!(taking.await.unwrap(), (vec![7], vec![]));
    }
}
