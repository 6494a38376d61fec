//! `commit_to_kafka_ms`: from a commit to the event's arrival at a consumer of the topic.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulsetrail_domain::Position;
use pulsetrail_harness::eventually;
use pulsetrail_infra::kafka::{Kafka, METADATA_TIMEOUT, event_from_message};
use pulsetrail_infra::relay;
use pulsetrail_infra::store::{Store, append_batch, head};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::fixture::{checks, empty_store, monitors};
use crate::round_trip;
use crate::samples::Samples;
use crate::table::Table;

/// Commits a second; the recorder stores what came together in one.
const COMMITS_PER_SECOND: u32 = 250;
const SECONDS: u32 = 10;

pub(crate) async fn measure(table: &mut Table) {
    let (corner, store) = empty_store().await;
    let kafka = corner.kafka();
    kafka.ensure_topics(&[]).await.expect("topics");
    let shutdown = CancellationToken::new();
    let relay = tokio::spawn({
        let (store, kafka, shutdown) = (store.clone(), kafka.clone(), shutdown.clone());
        async move { relay::run(&store, &kafka, &shutdown).await }
    });
    let consumer = Arc::new(consumer(&kafka).await);
    for per_second in [500, 2_000] {
        let mut bare = round_trip::measure(&kafka, per_second, per_second * 4).await;
        let mut samples = commits(&store, consumer.clone(), per_second).await;
        let name = match per_second {
            500 => "commit_to_kafka_ms",
            _ => "commit_to_kafka_2000_ms",
        };
        let reference = format!("one bare Kafka round trip at {per_second}/s");
        samples.report(table, name, &reference, &mut bare, 1.0);
    }
    shutdown.cancel();
    relay.await.expect("the relay ends");
}

/// A consumer at the end of the topic, with the settings of those that follow it.
async fn consumer(kafka: &Kafka) -> StreamConsumer {
    let consumer = kafka.lone_consumer().expect("a consumer");
    let topic = kafka.topics.events();
    // A topic that was just made has no leader yet.
    let (_, end) = eventually("the topic has a leader", async || {
        consumer.fetch_watermarks(&topic, 0, METADATA_TIMEOUT).ok()
    })
    .await;
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(&topic, 0, Offset::Offset(end)).expect("a place");
    consumer.assign(&place).expect("an assignment");
    consumer
}

/// Appends events at a steady rate, and measures from the moment each one's commit returned to when a
/// consumer has it.
async fn commits(store: &Store, consumer: Arc<StreamConsumer>, per_second: u32) -> Samples {
    let (sender, mut committed) = mpsc::unbounded_channel();
    let first = head(&store.read).await.expect("Postgres answers");
    let last = i64::from(per_second * SECONDS);
    let receiving = tokio::spawn(async move {
        let mut arrived = HashMap::new();
        while arrived.len() < last as usize {
            let message = consumer.recv().await.expect("a message");
            let (event, _) = event_from_message(&message).expect("an event");
            if event.position > first {
                arrived.entry(event.position).or_insert_with(Instant::now);
            }
        }
        arrived
    });
    append_steadily(store, per_second, sender).await;
    let arrived = receiving.await.expect("all arrived");
    let mut samples = Samples::default();
    let mut number = 0;
    while let Some((through, at)) = committed.recv().await {
        let events: i64 = i64::from(per_second / COMMITS_PER_SECOND);
        for position in through - events + 1..=through {
            number += 1;
            // The first ones open connections.
            if number > last / 10 {
                let took = arrived[&Position(position)].saturating_duration_since(at);
                samples.add(took.as_secs_f64() * 1_000.0);
            }
        }
    }
    samples
}

async fn append_steadily(
    store: &Store,
    per_second: u32,
    committed: mpsc::UnboundedSender<(i64, Instant)>,
) {
    let monitors = monitors((per_second / COMMITS_PER_SECOND) as usize);
    let mut clock = interval(Duration::from_secs(1) / COMMITS_PER_SECOND);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for round in 0..i64::from(COMMITS_PER_SECOND * SECONDS) {
        let batch = checks(&monitors, round);
        clock.tick().await;
        let mut transaction = store.write.begin().await.expect("a transaction");
        append_batch(&mut *transaction, &batch).await.expect("the batch is stored");
        let through = head(&mut *transaction).await.expect("its own head");
        transaction.commit().await.expect("a commit");
        committed.send((through.0, Instant::now())).expect("somebody measures");
    }
}
