//! Reading a topic after the fact.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pulsetrail_infra::kafka::{Kafka, attribute};
use pulsetrail_infra::messages::Job;
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Partitions of the topics of jobs and of results.
const PARTITIONS: i32 = 12;
const PATIENCE: Duration = Duration::from_secs(10);

/// A message as it was sent.
pub(super) struct Sent {
    /// When, in ms since the epoch, by its sender.
    pub(super) at_ms: i64,
    pub(super) key: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Sent {
    /// The slot of a job, in ms since the epoch.
    pub(super) fn slot_ms(&self) -> i64 {
        let job: Job = serde_json::from_slice(&self.payload).expect("a job");
        job.scheduled_at.timestamp_millis()
    }
}

/// A consumer of a topic's partitions, from their beginning, and how many messages there are.
fn from_the_beginning(kafka: &Kafka, topic: &str) -> (StreamConsumer, usize) {
    let consumer = kafka.lone_consumer().expect("a consumer");
    let mut places = TopicPartitionList::new();
    let mut count = 0;
    for partition in 0..PARTITIONS {
        let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the ends");
        count += usize::try_from(high - low).expect("a count");
        places.add_partition_offset(topic, partition, Offset::Offset(low)).expect("a place");
    }
    consumer.assign(&places).expect("an assignment");
    (consumer, count)
}

/// How many messages a topic has.
pub(super) async fn count(kafka: &Kafka, topic: &str) -> usize {
    let (kafka, topic) = (kafka.clone(), topic.to_owned());
    // The calls block.
    let counted = tokio::task::spawn_blocking(move || from_the_beginning(&kafka, &topic).1);
    counted.await.expect("a count")
}

/// Not the message's own time, which is the slot's where a job was held up.
fn written_ms(message: &BorrowedMessage<'_>) -> i64 {
    let time = attribute(message, "ce_time").expect("a time");
    time.parse::<DateTime<Utc>>().expect("a time").timestamp_millis()
}

/// Every message of a topic.
pub(super) async fn read(kafka: &Kafka, topic: &str) -> Vec<Sent> {
    let (kafka, topic) = (kafka.clone(), topic.to_owned());
    let opened = tokio::task::spawn_blocking(move || from_the_beginning(&kafka, &topic));
    let (consumer, count) = opened.await.expect("a consumer");
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        let message = consumer.recv().await.expect("a message");
        messages.push(Sent {
            at_ms: written_ms(&message),
            key: message.key().unwrap_or_default().to_vec(),
            payload: message.payload().unwrap_or_default().to_vec(),
        });
    }
    messages
}
