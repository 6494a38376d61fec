//! `dead_prober_takeover_ms`: for how long the monitors of a killed prober are not checked.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::Region;
use pulsetrail_infra::kafka::Kafka;

use super::monitors::{Kind, register};
use super::topic::{Sent, read};
use crate::fixture::empty_store;
use crate::samples::Samples;
use crate::table::Table;

const MONITORS: i64 = 200;
const INTERVAL_MS: i64 = 1_000;
/// The group says that a member is dead after so long without a sign of life.
const SESSION_MS: f64 = 6_000.0;

pub(crate) async fn measure(table: &mut Table) {
    let (corner, store) = empty_store().await;
    let kafka = corner.kafka();
    kafka.ensure_topics(&[Region::default()]).await.expect("topics");
    let url = format!("http://{{host}}:{}/{{number}}", super::target::start().await);
    let kind = Kind { url: &url, interval_seconds: 1, age_seconds: 60 };
    register(&store, MONITORS, &kind).await;
    let doomed = corner.role("prober").await.until_ready().await;
    let _survivor = corner.role("prober").await.until_ready().await;
    let _scheduler = corner.role("scheduler").await.until_ready().await;
    until_checked_since(&kafka, Utc::now().timestamp_millis() + 5_000).await;
    doomed.kill().await;
    let results = until_checked_since(&kafka, Utc::now().timestamp_millis() + 10_000).await;

    let mut pauses = Samples::default();
    for mut times in by_monitor(&results).into_values() {
        times.sort_unstable();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("two results");
        // The others were the survivor's all the time.
        if longest > 2 * INTERVAL_MS {
            pauses.add(longest as f64);
        }
    }
    let mut session = Samples::default();
    session.add(SESSION_MS);
    let reference = "the time after which the group says that a prober is dead";
    pauses.report(table, "dead_prober_takeover_ms", reference, &mut session, 1.0);
}

/// Waits until every monitor has a result after a moment.
async fn until_checked_since(kafka: &Kafka, since_ms: i64) -> Vec<Sent> {
    loop {
        let results = read(kafka, &kafka.topics.results()).await;
        let newest = by_monitor(&results).into_values().map(|times| times.into_iter().max());
        let late = newest.filter(|newest| *newest >= Some(since_ms)).count();
        if late == MONITORS as usize {
            return results;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// When the results of each monitor were sent, in ms.
fn by_monitor(results: &[Sent]) -> HashMap<&[u8], Vec<i64>> {
    let mut times: HashMap<&[u8], Vec<i64>> = HashMap::new();
    for result in results {
        times.entry(&result.key).or_default().push(result.at_ms);
    }
    times
}
