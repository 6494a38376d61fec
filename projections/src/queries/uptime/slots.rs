//! How many checks were due, and how many of those have a result.
//!
//! Which slots were due follows from the monitor's history ([`slots_due`]). ClickHouse counts the recorded
//! checks of these slots: it gets the slots as runs of equal distances, some at a time.

use std::collections::HashMap;
use std::fmt::Write as _;

use clickhouse::{Client, Row};
use pulsetrail_domain::MonitorId;
use pulsetrail_domain::schedule::{Change, SlotRun, SlotWindow, slots_due};
use pulsetrail_infra::http::Problem;
use serde::Deserialize;
use uuid::Uuid;

use super::question::Question;
use super::read::{SCOPE, Scope, bind_scope};
use crate::analytics::ScheduleRow;
use crate::queries::checks::within_range;

/// Runs that one query asks for: its text stays far below ClickHouse's limit of 256 KiB.
const RUNS_A_QUERY: usize = 500;

/// Checks that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotCounts {
    pub(super) expected: u64,
    /// Those with a recorded result.
    filled: u64,
}

impl SlotCounts {
    /// Those without.
    pub(super) fn missed(self) -> u64 {
        self.expected.saturating_sub(self.filled)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { expected: self.expected + other.expected, filled: self.filled + other.filled }
    }
}

/// Counts the checks that were due, by monitor and bucket.
pub(super) async fn count_slots(
    client: &Client,
    scope: Scope<'_>,
    question: &Question,
) -> Result<HashMap<Uuid, Vec<SlotCounts>>, Problem> {
    let mut counting =
        Counting { client, scope, question, counts: HashMap::new(), runs: Vec::new() };
    let query =
        format!("select ?fields from schedules final where {SCOPE} order by monitor_id, position");
    let mut rows = bind_scope(client.query(&query), scope, question).fetch::<ScheduleRow>()?;
    let mut history: Vec<(i64, Change)> = Vec::new();
    let mut current = Uuid::nil();
    while let Some(row) = rows.next().await? {
        if row.monitor_id != current {
            counting.take(current, &mut history).await?;
            current = row.monitor_id;
        }
        history.push(row.change().map_err(Problem::internal)?);
    }
    counting.take(current, &mut history).await?;
    counting.count_filled().await?;
    Ok(counting.counts)
}

#[derive(Row, Deserialize)]
struct FilledColumns {
    #[serde(with = "clickhouse::serde::uuid")]
    monitor_id: Uuid,
    bucket_us: i64,
    filled: u64,
}

struct Counting<'a> {
    client: &'a Client,
    scope: Scope<'a>,
    question: &'a Question,
    /// The counts of each bucket.
    counts: HashMap<Uuid, Vec<SlotCounts>>,
    /// Runs whose recorded checks are not counted yet.
    runs: Vec<(Uuid, SlotRun)>,
}

impl Counting<'_> {
    /// Takes in a monitor with its whole history, which is empty afterwards.
    async fn take(
        &mut self,
        monitor_id: Uuid,
        history: &mut Vec<(i64, Change)>,
    ) -> Result<(), Problem> {
        let window = self.question.window;
        let window = SlotWindow {
            from_ms: first_millisecond(window.from.timestamp_micros()),
            to_ms: first_millisecond(window.to.timestamp_micros()),
            known_until_ms: window.known_until.timestamp_millis(),
        };
        for run in slots_due(MonitorId(monitor_id), history.drain(..), window) {
            let Some(run) = self.of_region(run) else { continue };
            self.count_expected(monitor_id, &run);
            self.runs.push((monitor_id, run));
            if self.runs.len() >= RUNS_A_QUERY {
                self.count_filled().await?;
            }
        }
        Ok(())
    }

    /// The run as far as the region that is asked for is in it.
    fn of_region(&self, run: SlotRun) -> Option<SlotRun> {
        match &self.question.region {
            None => Some(run),
            Some(region) if run.regions.contains(region) => {
                Some(SlotRun { regions: vec![region.clone()], ..run })
            }
            Some(_) => None,
        }
    }

    fn count_expected(&mut self, monitor_id: Uuid, run: &SlotRun) {
        let question = self.question;
        let counts = self.counts.entry(monitor_id).or_insert_with(|| empty(question));
        let first = question.bucket_of(run.first_ms.saturating_mul(1_000));
        for (ends, counts) in question.borders.windows(2).zip(counts).skip(first) {
            let [from_us, to_us] = ends else { continue };
            let from_ms = first_millisecond(*from_us);
            if from_ms > run.last_ms {
                break;
            }
            let part = run.within(from_ms, first_millisecond(*to_us));
            counts.expected += part.map_or(0, |part| part.checks());
        }
    }

    /// Counts the recorded checks of the runs at hand. A check belongs to the last run of its monitor that
    /// begins before it, if to any: the runs of a monitor do not overlap.
    async fn count_filled(&mut self) -> Result<(), Problem> {
        let (Some(from_ms), Some(to_ms)) = (
            self.runs.iter().map(|(_, run)| run.first_ms).min(),
            self.runs.iter().map(|(_, run)| run.last_ms).max(),
        ) else {
            return Ok(());
        };
        let runs = runs_as_values(&self.runs);
        let bucket = self.question.bucket_begin("slot_ms * 1000");
        let query = format!(
            "with runs as (select * from values('monitor_id UUID, first_ms Int64, last_ms Int64,
                interval_ms Int64, regions Array(String)', {runs}))
             select checks.monitor_id as monitor_id, {bucket} as bucket_us, count() as filled
             from (select monitor_id, region, toUnixTimestamp64Milli(scheduled_at) as slot_ms
                   from checks final
                   where {SCOPE} and monitor_id in (select monitor_id from runs)
                     and scheduled_at >= fromUnixTimestamp64Micro(?)
                     and scheduled_at <= fromUnixTimestamp64Micro(?)
                     -- A check on demand has an id of version 7.
                     and substring(toString(check_id), 15, 1) != '7') as checks
             asof join runs
                on checks.monitor_id = runs.monitor_id and checks.slot_ms >= runs.first_ms
             where slot_ms <= last_ms and (slot_ms - first_ms) % interval_ms = 0
               and has(regions, region)
             group by monitor_id, bucket_us"
        );
        let within = |ms: i64| within_range(ms.saturating_mul(1_000));
        let filled = bind_scope(self.client.query(&query), self.scope, self.question)
            .bind(within(from_ms))
            .bind(within(to_ms));
        for row in filled.fetch_all::<FilledColumns>().await? {
            let question = self.question;
            let counts = self.counts.entry(row.monitor_id).or_insert_with(|| empty(question));
            if let Some(counts) = counts.get_mut(question.bucket_of(row.bucket_us)) {
                counts.filled += row.filled;
            }
        }
        self.runs.clear();
        Ok(())
    }
}

fn empty(question: &Question) -> Vec<SlotCounts> {
    vec![SlotCounts::default(); question.buckets()]
}

/// The first whole millisecond that is not before a moment in microseconds.
fn first_millisecond(microseconds: i64) -> i64 {
    -(-microseconds).div_euclid(1_000)
}

/// The runs as ClickHouse's values. Regions need no escaping.
fn runs_as_values(runs: &[(Uuid, SlotRun)]) -> String {
    let mut text = String::new();
    for (monitor_id, run) in runs {
        let SlotRun { first_ms, last_ms, interval_ms, regions } = run;
        let regions: Vec<String> = regions.iter().map(|region| format!("'{region}'")).collect();
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{comma}('{monitor_id}',{first_ms},{last_ms},{interval_ms},[{}])",
            regions.join(",")
        );
    }
    text
}
