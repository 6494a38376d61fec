//! Following which partitions the group gives this prober, and handing over those that it takes away.
//!
//! When another prober joins, the group takes partitions away. They are let go only when the checks of
//! theirs that are under way have reported, or a few seconds later: whoever gets them then begins behind
//! those, and makes none a second time. Meanwhile the other partitions' jobs go on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::watermark::{Ticket, Watermarks};

/// How long partitions are kept for their checks to report. Their other jobs wait so long.
const HAND_OVER: Duration = Duration::from_secs(5);

/// What the consumer's callbacks and the prober both know.
#[derive(Clone)]
pub(super) struct Assignment {
    inner: Arc<Inner>,
    topic: String,
    /// Cancelled when the group gave its first answer, be it that there is nothing to do.
    pub(super) joined: CancellationToken,
}

#[derive(Default)]
struct Inner {
    watermarks: Mutex<Watermarks>,
    leaving: Mutex<Leaving>,
    /// Something happened that may end the handing over.
    progress: Notify,
}

/// What becomes of partitions that are taken away.
#[derive(Default)]
enum Leaving {
    /// None are.
    #[default]
    Nothing,
    /// They are let go then at the latest.
    Until(Instant, TopicPartitionList),
    /// The prober stops and has no time: they are let go at once.
    AtOnce,
}

impl Assignment {
    pub(super) fn new(topic: String, joined: CancellationToken) -> Self {
        Self { inner: Arc::default(), topic, joined }
    }

    pub(super) fn watermarks(&self) -> MutexGuard<'_, Watermarks> {
        self.inner.watermarks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self) -> MutexGuard<'_, Leaving> {
        self.inner.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A job is finished.
    pub(super) fn finish(&self, ticket: Ticket) {
        self.watermarks().finish(ticket);
        if matches!(*self.leaving(), Leaving::Until(..)) {
            self.inner.progress.notify_one();
        }
    }

    /// The prober stops: it begins no other job.
    pub(super) fn stop(&self) {
        let mut watermarks = self.watermarks();
        let all = watermarks.partitions();
        watermarks.hand_over(all);
    }

    /// Commits what is finished and was not committed yet.
    ///
    /// # Errors
    /// When the cluster refuses or, in the synchronous mode, does not answer. The jobs are then made
    /// again by whoever reads on, which changes nothing.
    pub(super) fn commit<C: Consumer<Self>>(
        &self,
        consumer: &C,
        mode: CommitMode,
    ) -> KafkaResult<()> {
        let finished = self.watermarks().uncommitted();
        if finished.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::with_capacity(finished.len());
        for (partition, offset) in &finished {
            offsets.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        consumer.commit(&offsets, mode)?;
        self.watermarks().committed(&finished);
        Ok(())
    }

    /// Ends when partitions that are taken away can be let go.
    pub(super) async fn handed_over(&self) {
        loop {
            let until = match &*self.leaving() {
                Leaving::Until(until, list) => {
                    if self.watermarks().are_handed_over(&self.partitions(list)) {
                        return;
                    }
                    Some(*until)
                }
                Leaving::Nothing | Leaving::AtOnce => None,
            };
            let too_late = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.inner.progress.notified() => {}
                () = too_late => return,
            }
        }
    }

    /// Lets go of the partitions that are taken away.
    pub(super) fn let_go<C: Consumer<Self>>(&self, consumer: &C) {
        let leaving = std::mem::take(&mut *self.leaving());
        if let Leaving::Until(_, list) = leaving {
            self.give_back(consumer, &list);
        }
    }

    /// Lets go of the partitions that are taken away, and from now on of any at once. Without it the consumer
    /// could not be closed, which waits for partitions that are to be given back.
    pub(super) fn let_go_at_once<C: Consumer<Self>>(&self, consumer: &C) {
        let leaving = std::mem::replace(&mut *self.leaving(), Leaving::AtOnce);
        if let Leaving::Until(_, list) = leaving {
            self.give_back(consumer, &list);
        }
    }

    /// Whoever comes after goes on from what is committed. The answer is not waited for: it comes before
    /// the group's, which the same broker gives.
    fn give_back<C: Consumer<Self>>(&self, consumer: &C, list: &TopicPartitionList) {
        if let Err(error) = self.commit(consumer, CommitMode::Async) {
            tracing::debug!(%error, "finished jobs could not be committed before a rebalance");
        }
        self.watermarks().revoke(self.partitions(list));
        if let Err(error) = consumer.incremental_unassign(list) {
            tracing::warn!(%error, "partitions could not be given back");
        }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<i32> {
        let elements = list.elements();
        let own = elements.iter().filter(|element| element.topic() == self.topic);
        own.map(|element| element.partition()).collect()
    }
}

impl ClientContext for Assignment {}

impl ConsumerContext for Assignment {
    /// The consumers of jobs are cooperative: they are given, and lose, some partitions at a time.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.watermarks().assign(self.partitions(list));
                self.joined.cancel();
                if let Err(error) = consumer.incremental_assign(list) {
                    tracing::warn!(%error, "partitions could not be taken");
                }
            }
            // Those that are lost are somebody else's already.
            _ if consumer.assignment_lost() || matches!(*self.leaving(), Leaving::AtOnce) => {
                self.give_back(consumer, list);
            }
            _ => {
                self.watermarks().hand_over(self.partitions(list));
                *self.leaving() = Leaving::Until(Instant::now() + HAND_OVER, list.clone());
                self.inner.progress.notify_one();
            }
        }
    }
}
