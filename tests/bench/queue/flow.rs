//! `jobs_per_s`: from the scheduler to the finished result, as fast as it goes.

use std::time::Duration;

use pulsetrail_domain::Region;
use pulsetrail_infra::kafka::Kafka;

use super::bare;
use super::monitors::{Kind, register};
use super::topic::{Sent, count, read};
use crate::fixture::empty_store;
use crate::table::{Row, Table};

/// Fewer than the late jobs that a prober keeps waiting.
const MONITORS: usize = 15_000;

/// What a run sent.
pub(super) struct Flow {
    pub(super) jobs: Vec<Sent>,
    pub(super) results: Vec<Sent>,
}

pub(crate) async fn measure(table: &mut Table) {
    let (kafka, flow) = run().await;
    let times = |sent: &[Sent]| sent.iter().map(|message| message.at_ms).collect::<Vec<_>>();
    let first_ms = times(&flow.jobs).into_iter().min().expect("jobs");
    let last_ms = times(&flow.results).into_iter().max().expect("results");
    table.push(Row {
        name: "jobs_per_s".to_owned(),
        value: MONITORS as f64 * 1_000.0 / (last_ms - first_ms) as f64,
        unit: "/s",
        reference: "producing, consuming and producing the same messages".to_owned(),
        reference_value: bare::jobs_per_second(&kafka, &flow.jobs, &flow.results[0]).await,
    });
}

/// Has as many monitors that all were registered just now checked once, by one scheduler and one prober.
async fn run() -> (Kafka, Flow) {
    let (corner, store) = empty_store().await;
    let kafka = corner.kafka();
    let region = Region::default();
    kafka.ensure_topics(std::slice::from_ref(&region)).await.expect("topics");
    let port = super::target::start().await;
    let prober = corner.role("prober").await.until_ready().await;
    let url = format!("http://{{host}}:{port}/{{number}}");
    let kind = Kind { url: &url, interval_seconds: 86_400, age_seconds: 0 };
    register(&store, MONITORS as i64, &kind).await;
    let scheduler = corner.role("scheduler").await.until_ready().await;
    let results = kafka.topics.results();
    let dropped = "pulsetrail_prober_jobs_dropped_total";
    while count(&kafka, &results).await < MONITORS {
        assert!(prober.metric(dropped).await == 0.0, "a job was too late: the run says nothing");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for role in [scheduler, prober] {
        assert!(role.stop().await.success());
    }
    let jobs = read(&kafka, &kafka.topics.jobs(&region)).await;
    let results = read(&kafka, &results).await;
    (kafka, Flow { jobs, results })
}
