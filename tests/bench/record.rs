//! `record_results`: from Kafka to committed, also of so many monitors that each has long been waiting for
//! its turn when it comes again.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::FutureExt;
use pulsetrail_domain::{MonitorId, Position};
use pulsetrail_infra::kafka::{Kafka, message_headers};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use pulsetrail_infra::store::{Store, head};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{FutureRecord, Producer};
use tokio_util::sync::CancellationToken;

use crate::fixture::{ORGANIZATION, empty_store, monitors, register, result};
use crate::table::{Row, Table};

pub(crate) const FIGURES: [&str; 2] = ["record_results", "record_results_of_100k"];
/// Rounds at the start in which the recorder reads the monitors and opens its connections.
const WARM_UP: i64 = 2;

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    for (name, monitors, rounds) in [(FIGURES[0], 10_000, 20), (FIGURES[1], 100_000, 10)] {
        if only.is_none_or(|only| only == name) {
            measure_of(table, name, monitors, rounds).await;
        }
    }
}

/// Every monitor has `rounds` results, and they come in turn.
async fn measure_of(table: &mut Table, name: &str, count: usize, rounds: i64) {
    let (corner, store) = empty_store().await;
    let kafka = corner.kafka();
    kafka.ensure_topics(&[]).await.expect("topics");
    let monitors = monitors(count);
    register(&store, &monitors).await;
    produce(&kafka, &monitors, rounds).await;
    let alone = consume(&kafka, count * rounds as usize).await;

    let before = head(&store.read).await.expect("Postgres answers");
    let shutdown = CancellationToken::new();
    let recorder = tokio::spawn({
        let (store, kafka, shutdown) = (store.clone(), kafka.clone(), shutdown.clone());
        async move { pulsetrail_commands::recorder::run(&store, &kafka, shutdown, || {}).await }
    });
    until(&store, before.0 + WARM_UP * count as i64).await;
    let (from, begun) = (head(&store.read).await.expect("Postgres answers"), Instant::now());
    // Every result is an event; some lead to a second one.
    until(&store, before.0 + rounds * count as i64).await;
    let (through, took) = (head(&store.read).await.expect("Postgres answers"), begun.elapsed());
    let recorded = recorded_between(&store, from, through).await;
    shutdown.cancel();
    recorder.await.expect("the recorder ends").expect("the recorder ran");
    table.push(Row {
        name: name.to_owned(),
        value: recorded / took.as_secs_f64(),
        unit: "/s",
        reference: "reading the same messages from Kafka and nothing else".to_owned(),
        reference_value: alone,
    });
}

async fn produce(kafka: &Kafka, monitors: &[MonitorId], rounds: i64) {
    let producer = kafka.producer().expect("a producer");
    let topic = kafka.topics.results();
    for round in 0..rounds {
        for monitor in monitors {
            let message = ResultMessage {
                monitor_id: *monitor,
                organization_id: ORGANIZATION,
                result: result(*monitor, round),
                refusal: None,
            };
            let payload = serde_json::to_vec(&message).expect("JSON");
            let (key, id) = (monitor.to_string(), message.result.check_id.to_string());
            let headers = message_headers(RESULT_TYPE, &id, Utc::now(), ORGANIZATION);
            let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
            drop(producer.send_result(record).expect("room in the queue"));
        }
        producer.flush(Duration::from_secs(30)).expect("all is sent");
    }
}

/// Messages per second that a consumer with the recorder's settings takes in.
async fn consume(kafka: &Kafka, all: usize) -> f64 {
    let consumer = kafka.group_consumer("reference").expect("a consumer");
    consumer.subscribe(&[&kafka.topics.results()]).expect("a subscription");
    consumer.recv().await.expect("a message");
    let begun = Instant::now();
    let wanted = all - 1;
    let mut count = 0;
    while count < wanted {
        let message = match consumer.recv().now_or_never() {
            Some(message) => message,
            None => consumer.recv().await,
        };
        message.expect("a message");
        count += 1;
    }
    wanted as f64 / begun.elapsed().as_secs_f64()
}

/// Waits until the log has reached a position.
async fn until(store: &Store, position: i64) {
    while head(&store.read).await.expect("Postgres answers") < Position(position) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn recorded_between(store: &Store, from: Position, through: Position) -> f64 {
    let count: i64 = sqlx::query_scalar(
        "select count(*) from events
         where position > $1 and position <= $2 and event_type = 'CheckCompleted'",
    )
    .bind(from.0)
    .bind(through.0)
    .fetch_one(&store.read)
    .await
    .expect("a count");
    count as f64
}
