//! The reference of every latency through Kafka: producing a message and consuming it, and nothing else.

use std::time::{Duration, Instant};

use pulsetrail_infra::kafka::Kafka;
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::samples::Samples;

/// Produces `count` messages at `per_second` into a topic of its own and measures each one's way, with
/// the settings of the relay's producer and of a follower's consumer.
pub(crate) async fn measure(kafka: &Kafka, per_second: u32, count: u32) -> Samples {
    let reference = Kafka::new(
        kafka.brokers.clone(),
        &format!("{}-reference-{per_second}", kafka.topics.prefix()),
    );
    reference.ensure_topics(&[]).await.expect("topics of its own");
    let topic = reference.topics.events();
    let consumer = reference.lone_consumer().expect("a consumer");
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(&topic, 0, Offset::Beginning).expect("a place");
    consumer.assign(&place).expect("an assignment");
    let producer = reference.prompt_producer().expect("a producer");
    // A topic that was just made has no leader yet: the first message waits for it.
    let first = FutureRecord::<str, [u8]>::to(&topic).partition(0).payload(&[0]);
    producer.send(first, Duration::from_secs(10)).await.expect("the topic has a leader");
    consumer.recv().await.expect("the first message");
    let begun = Instant::now();
    let sending = tokio::spawn(async move {
        let mut clock = tokio::time::interval(Duration::from_secs(1) / per_second);
        for _ in 0..count {
            clock.tick().await;
            let sent = begun.elapsed().as_nanos().to_be_bytes();
            let record = FutureRecord::<str, [u8]>::to(&topic).partition(0).payload(&sent);
            // The acknowledgement is not waited for: the consumer is.
            drop(producer.send_result(record).expect("room in the queue"));
        }
        producer
    });
    let mut samples = Samples::default();
    for number in 0..count {
        let message = consumer.recv().await.expect("a message");
        let sent: [u8; 16] = message.payload().expect("a value").try_into().expect("a time");
        let took = begun.elapsed().as_nanos() - u128::from_be_bytes(sent);
        // The first ones open connections.
        if number >= count / 10 {
            samples.add(took as f64 / 1e6);
        }
    }
    drop(sending.await);
    samples
}
