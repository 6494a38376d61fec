//! A prober as a process of its own, with its jobs in Kafka before it starts.

use std::process::Stdio;
use std::time::{Duration, Instant};

use chrono::Utc;
use pulsetrail_domain::Region;
use pulsetrail_harness::Corner;
use pulsetrail_infra::kafka::{Kafka, message_headers};
use pulsetrail_infra::messages::{JOB_TYPE, Job};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureRecord, Producer as _};
use tokio::net::TcpListener;
use tokio::process::Child;

use super::target::Answering;

/// How often it is looked how far the prober is. Seldom: looking takes time from the prober.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Writes jobs to Kafka, with a time that lies ahead: they are not late when they are read.
pub(super) async fn fill(kafka: &Kafka, jobs: impl Iterator<Item = Job>) {
    let region = Region::default();
    kafka.ensure_topics(std::slice::from_ref(&region)).await.expect("topics");
    let producer = kafka.producer().expect("a producer");
    let topic = kafka.topics.jobs(&region);
    let ahead = (Utc::now() + PATIENCE).timestamp_millis();
    for job in jobs {
        let payload = serde_json::to_vec(&job).expect("JSON");
        let (key, id) = (job.monitor_id.to_string(), job.check_id.to_string());
        let headers = message_headers(JOB_TYPE, &id, Utc::now(), job.organization_id);
        let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
        drop(producer.send_result(record.timestamp(ahead)).expect("room in the queue"));
    }
    tokio::task::spawn_blocking(move || producer.flush(Duration::from_secs(30)))
        .await
        .expect("the producer ended")
        .expect("every job is in Kafka");
}

/// The running prober.
pub(super) struct Prober {
    child: Child,
    results: BaseConsumer,
    topic: String,
    /// Where it says whether it is ready.
    url: String,
}

impl Prober {
    /// Starts one that trusts the target.
    pub(super) async fn start(corner: &Corner, concurrency: usize, target: &Answering) -> Self {
        // A port that was free a moment ago; nobody else on this machine asks for it by number.
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let mut command = corner.command(["prober"]);
        command
            .env("PULSETRAIL_LISTEN", address.to_string())
            .env("PULSETRAIL_PROBER_CONCURRENCY", concurrency.to_string())
            .env("PULSETRAIL_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        if let Some(file) = target.authority_file() {
            command.env("SSL_CERT_FILE", file);
        }
        let kafka = corner.kafka();
        let results = kafka.group_config("bench").create().expect("a consumer");
        let child = command.spawn().expect("the prober starts");
        Self { child, results, topic: kafka.topics.results(), url: format!("http://{address}") }
    }

    /// Waits until it takes jobs.
    pub(super) async fn until_ready(&self) {
        pulsetrail_harness::until_ready(&self.url).await;
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Results a second, from half of all `jobs` on, when it and the broker are warm, until nearly all are made.
    pub(super) async fn rate(&self, jobs: usize) -> f64 {
        let began = Instant::now();
        let mut warm = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let made = self.made();
            let now = Instant::now();
            assert!(now - began < PATIENCE, "{made} of {jobs} checks are made");
            match warm {
                None if made >= jobs / 2 => warm = Some((now, made)),
                Some((since, before)) if made >= jobs * 7 / 8 => {
                    return (made - before) as f64 / (now - since).as_secs_f64();
                }
                _ => {}
            }
        }
    }

    /// How many results are in Kafka.
    fn made(&self) -> usize {
        let patience = Duration::from_secs(10);
        let metadata = self.results.fetch_metadata(Some(&self.topic), patience).expect("the topic");
        let partitions = metadata.topics()[0].partitions().iter();
        let ends = partitions.map(|partition| {
            let ends = self.results.fetch_watermarks(&self.topic, partition.id(), patience);
            ends.expect("the end of a partition").1
        });
        ends.sum::<i64>() as usize
    }

    pub(super) async fn stop(mut self) {
        self.child.start_kill().expect("it runs");
        self.child.wait().await.expect("it ended");
    }
}
