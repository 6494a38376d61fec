//! Looking at an installation for a while: how late checks begin, and what is left to be done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use chrono::Utc;
use pulsetrail_domain::{MonitorId, Region};
use pulsetrail_harness::Slots;
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::store::{Store, head};
use tokio::time::sleep;

use crate::memory;

const INTERVAL_MS: i64 = 60_000;
/// How long after the window the last results may take.
const REST: Duration = Duration::from_secs(5);

/// What was seen.
pub(super) struct Look {
    /// Slots that belong to the time, and those of them without a result.
    pub(super) slots: usize,
    pub(super) missing: usize,
    /// How late checks began after their slots, in ms, where a missing one is the latest.
    pub(super) late_p50_ms: i64,
    pub(super) late_p99_ms: i64,
    /// What was left to be done.
    pub(super) backlog_before: Backlog,
    pub(super) backlog_after: Backlog,
    /// The processors that each process took.
    pub(super) cores: BTreeMap<String, f64>,
}

/// What is left to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog {
    /// Messages for probers, and for the recorder.
    jobs: i64,
    results: i64,
    /// Events that the slowest of those who follow the log has not reached.
    events: i64,
}

impl Backlog {
    pub(super) fn all(self) -> i64 {
        self.jobs + self.results + self.events
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} jobs + {} results + {} events", self.jobs, self.results, self.events)
    }
}

impl fmt::Display for Look {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slots, missing, late_p50_ms, late_p99_ms, backlog_before, backlog_after, ..
        } = self;
        write!(
            formatter,
            "{slots} slots, {missing} missing, late p50 {late_p50_ms} ms, p99 {late_p99_ms} ms, \
             backlog {backlog_before} then {backlog_after}; of {} cores",
            std::thread::available_parallelism().map_or(0, usize::from),
        )?;
        for (name, cores) in &self.cores {
            write!(formatter, ", {name} {cores:.2}")?;
        }
        Ok(())
    }
}

/// Looks for as long as `window`, at `pid` and all that it started.
pub(super) async fn look(
    (store, kafka): (&Store, &Kafka),
    pid: u32,
    monitors: &[MonitorId],
    window: Duration,
) -> Look {
    let from = head(&store.read).await.expect("Postgres answers");
    let backlog_before = backlog(store, kafka).await;
    let (begun, before) = (Instant::now(), memory::processor_seconds(pid));
    let begin_ms = Utc::now().timestamp_millis();
    sleep(window).await;
    let end_ms = Utc::now().timestamp_millis();
    let (took, mut cores) = (begun.elapsed(), memory::processor_seconds(pid));
    for (name, seconds) in &mut cores {
        let spent = *seconds - before.get(name).copied().unwrap_or_default();
        *seconds = spent / took.as_secs_f64();
    }
    let backlog_after = backlog(store, kafka).await;

    let window = begin_ms..end_ms;
    let slots = Slots::read(store, from, monitors, INTERVAL_MS, window, REST).await;
    let (late_p50_ms, late_p99_ms) = (slots.lateness_ms(50), slots.lateness_ms(99));
    let (slots, missing) = (slots.due, slots.missing.len());
    Look { slots, missing, late_p50_ms, late_p99_ms, backlog_before, backlog_after, cores }
}

pub(super) async fn backlog(store: &Store, kafka: &Kafka) -> Backlog {
    let queues = kafka.lags(&[Region::default()]).await.expect("Kafka answers");
    let readers: Vec<i64> = sqlx::query_scalar("select position from checkpoints")
        .fetch_all(&store.read)
        .await
        .expect("Postgres answers");
    let head = head(&store.read).await.expect("Postgres answers").0;
    let behind = readers.iter().map(|position| (head - position).max(0)).max();
    let mut backlog = Backlog { jobs: 0, results: 0, events: behind.unwrap_or_default() };
    for queue in queues {
        let kind = if queue.queue == "results" { &mut backlog.results } else { &mut backlog.jobs };
        *kind += queue.lag;
    }
    backlog
}
