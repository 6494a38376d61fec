//! The ceiling of the queue: messages that are produced, consumed and produced again, and nothing else.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use pulsetrail_domain::Region;
use pulsetrail_infra::kafka::Kafka;
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use super::topic::Sent;

const PATIENCE: Duration = Duration::from_secs(60);

/// How many of the given jobs a second go through topics of their own: each is produced, consumed, and
/// answered with the given result. The clients have the settings of scheduler and prober.
pub(super) async fn jobs_per_second(kafka: &Kafka, jobs: &[Sent], result: &Sent) -> f64 {
    let bare = Kafka::new(kafka.brokers.clone(), &format!("{}-bare", kafka.topics.prefix()));
    let region = Region::default();
    bare.ensure_topics(std::slice::from_ref(&region)).await.expect("topics of its own");
    let (to, from) = (bare.topics.jobs(&region), bare.topics.results());
    let consumer = bare.group_consumer("bare").expect("a consumer");
    consumer.subscribe(&[&to]).expect("a subscription");
    let [asking, answering] = [&bare, &bare].map(|bare| bare.producer().expect("a producer"));
    // The first message waits for the group and for the topics' leaders.
    send(&asking, &to, &jobs[0]);
    asking.flush(PATIENCE).expect("it is sent");
    consumer.recv().await.expect("the first message");
    send(&answering, &from, result);
    answering.flush(PATIENCE).expect("it is sent");

    let begun = Instant::now();
    let answer = async {
        for _ in jobs {
            match consumer.recv().now_or_never() {
                Some(message) => message,
                None => consumer.recv().await,
            }
            .expect("a message");
            send(&answering, &from, result);
        }
    };
    let ask = async {
        for (number, job) in jobs.iter().enumerate() {
            send(&asking, &to, job);
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(ask, answer);
    answering.flush(PATIENCE).expect("all is sent");
    jobs.len() as f64 / begun.elapsed().as_secs_f64()
}

fn send(producer: &FutureProducer, topic: &str, message: &Sent) {
    let record = FutureRecord::to(topic).key(&message.key).payload(&message.payload);
    drop(producer.send_result(record).expect("room in the queue"));
}
