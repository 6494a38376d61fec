//! How much of the queues is not done yet.

use std::time::Duration;

use pulsetrail_domain::Region;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use schemars::JsonSchema;
use serde::Serialize;

use super::Kafka;

/// How long a broker may take for each answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A queue, and how much of it is not done yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QueueLag {
    /// Its topic, without the installation's prefix.
    pub queue: String,
    /// Messages that are not done yet, those under way included.
    pub lag: i64,
    /// The same of each partition.
    pub partitions: Vec<PartitionLag>,
}

/// A partition, and how much of it is not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PartitionLag {
    /// Its number.
    pub partition: i32,
    /// Messages that are not done yet.
    pub lag: i64,
}

impl Kafka {
    /// What lies in the queues of an installation with `regions`: jobs, jobs on demand, results.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn lags(&self, regions: &[Region]) -> Result<Vec<QueueLag>, KafkaError> {
        let mut queues = Vec::new();
        for region in regions {
            queues.push((self.topics.jobs(region), format!("prober.{region}")));
            queues.push((self.topics.jobs_on_demand(region), format!("prober.{region}.now")));
        }
        queues.push((self.topics.results(), "recorder".to_owned()));
        let kafka = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            queues.iter().map(|(topic, group)| kafka.lag(topic, group)).collect()
        });
        // The task is never aborted, and a panic in it is a defect of the client library.
        asked.await.map_err(|_| KafkaError::Canceled)?
    }

    /// Blocks.
    fn lag(&self, topic: &str, group: &str) -> Result<QueueLag, KafkaError> {
        // It asks for what the group has committed, and never joins it.
        let consumer: BaseConsumer = self.group_config(group).create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let described = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut wanted = TopicPartitionList::new();
        for partition in described {
            wanted.add_partition(topic, partition.id());
        }
        let committed = consumer.committed_offsets(wanted, PATIENCE)?;
        let mut partitions = Vec::with_capacity(committed.count());
        for element in committed.elements() {
            let partition = element.partition();
            let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            let done = match element.offset() {
                Offset::Offset(offset) => offset.max(low),
                _ => low,
            };
            partitions.push(PartitionLag { partition, lag: (high - done).max(0) });
        }
        let queue = topic.trim_start_matches(self.topics.prefix()).trim_start_matches('.');
        let lag = partitions.iter().map(|partition| partition.lag).sum();
        Ok(QueueLag { queue: queue.to_owned(), lag, partitions })
    }
}
