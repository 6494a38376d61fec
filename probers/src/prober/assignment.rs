//! Following which partitions the group gives this prober.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use tokio_util::sync::CancellationToken;

use super::watermark::Watermarks;

/// What the consumer's callbacks and the prober both know.
#[derive(Clone)]
pub(super) struct Assignment {
    watermarks: Arc<Mutex<Watermarks>>,
    topic: String,
    /// Cancelled when the group gave its first answer, be it that there is nothing to do.
    pub(super) joined: CancellationToken,
}

impl Assignment {
    pub(super) fn new(topic: String, joined: CancellationToken) -> Self {
        Self { watermarks: Arc::default(), topic, joined }
    }

    pub(super) fn watermarks(&self) -> MutexGuard<'_, Watermarks> {
        self.watermarks.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn partitions(&self, list: &TopicPartitionList) -> Vec<i32> {
        let elements = list.elements();
        let own = elements.iter().filter(|element| element.topic() == self.topic);
        own.map(|element| element.partition()).collect()
    }
}

impl ClientContext for Assignment {}

impl ConsumerContext for Assignment {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                self.watermarks().assign(self.partitions(list));
                self.joined.cancel();
            }
            Rebalance::Revoke(list) => {
                // Whoever comes after goes on from here. The callback must not wait for the answer.
                if let Err(error) = self.commit(consumer, CommitMode::Async) {
                    tracing::debug!(%error, "finished jobs could not be committed before a rebalance");
                }
                self.watermarks().revoke(self.partitions(list));
            }
            Rebalance::Error(error) => tracing::warn!(%error, "the group could not be rebalanced"),
        }
    }
}
