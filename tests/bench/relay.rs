//! `commit_to_kafka_ms`: from a commit to the event's arrival at a consumer of the topic. And
//! `commit_to_read_ms`, the part of it before Kafka: until somebody who is notified has read the event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulsetrail_domain::Position;
use pulsetrail_harness::eventually;
use pulsetrail_infra::kafka::{Kafka, METADATA_TIMEOUT, event_from_message};
use pulsetrail_infra::relay;
use pulsetrail_infra::store::{Store, Tail, append_batch, head};
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
const WARM_UP_PER_SECOND: u32 = 1_000;

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
    // A broker that was just started compiles its code meanwhile, for some seconds.
    round_trip::measure(&kafka, WARM_UP_PER_SECOND, WARM_UP_PER_SECOND * 8).await;
    // The higher rate first: what the broker still compiles, it compiles meanwhile.
    for per_second in [2_000, 500] {
        let mut bare = round_trip::measure(&kafka, per_second, per_second * SECONDS).await;
        let (mut samples, mut reads) = commits(&store, consumer.clone(), per_second).await;
        let name = match per_second {
            500 => "commit_to_kafka_ms",
            _ => "commit_to_kafka_2000_ms",
        };
        let reference = format!("one bare Kafka round trip at {per_second}/s");
        samples.report(table, name, &reference, &mut bare, 1.0);
        if per_second == 500 {
            let reference = "the whole way to a consumer, same commits";
            reads.report(table, "commit_to_read_ms", reference, &mut samples, 1.0);
        }
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
/// consumer has it, and to when it was read by somebody who listens as the relay does.
async fn commits(
    store: &Store,
    consumer: Arc<StreamConsumer>,
    per_second: u32,
) -> (Samples, Samples) {
    let (sender, mut committed) = mpsc::unbounded_channel();
    let first = head(&store.read).await.expect("Postgres answers");
    let count = (per_second * SECONDS) as usize;
    let receiving = tokio::spawn(async move {
        let mut arrived = HashMap::new();
        while arrived.len() < count {
            let message = consumer.recv().await.expect("a message");
            let (event, _) = event_from_message(&message).expect("an event");
            if event.position > first {
                arrived.entry(event.position).or_insert_with(Instant::now);
            }
        }
        arrived
    });
    let reading = tokio::spawn(read_on(store.clone(), first, count));
    append_steadily(store, per_second, sender).await;
    let arrived = receiving.await.expect("all arrived");
    let read = reading.await.expect("all were read");
    let (mut samples, mut reads) = (Samples::default(), Samples::default());
    let mut number = 0;
    while let Some((through, at)) = committed.recv().await {
        let events = i64::from(per_second / COMMITS_PER_SECOND);
        for position in through - events + 1..=through {
            number += 1;
            // The first ones open connections.
            if number > count / 10 {
                let milliseconds = |there: &HashMap<Position, Instant>| {
                    there[&Position(position)].saturating_duration_since(at).as_secs_f64() * 1_000.0
                };
                samples.add(milliseconds(&arrived));
                reads.add(milliseconds(&read));
            }
        }
    }
    (samples, reads)
}

/// Reads as many events as they are committed, and when.
async fn read_on(store: Store, after: Position, count: usize) -> HashMap<Position, Instant> {
    let mut tail = Tail::new(store.read.clone(), after);
    let mut read = HashMap::new();
    while read.len() < count {
        let page = tail.next_batch(1_000).await.expect("events");
        let now = Instant::now();
        read.extend(page.iter().map(|event| (event.position, now)));
    }
    read
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
