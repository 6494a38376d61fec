//! An uptime as callers see it.

use pulsetrail_domain::uptime::{Durations, percent};
use pulsetrail_domain::{MonitorId, Position, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::question::Question;
use super::slots::SlotCounts;

/// What was found out about a bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::queries) struct Uptime {
    pub(super) durations: Durations,
    pub(super) slots: SlotCounts,
    pub(super) checks_total: u64,
    pub(super) checks_up: u64,
}

impl Uptime {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            durations: self.durations.plus(other.durations),
            slots: self.slots.plus(other.slots),
            checks_total: self.checks_total + other.checks_total,
            checks_up: self.checks_up + other.checks_up,
        }
    }
}

/// How long it was up within a time. The five durations add up to the time, once for each monitor.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "UptimeFigures")]
pub(super) struct Figures {
    from: Timestamp,
    to: Timestamp,
    /// up / (up + down), by time; null when nothing is known. Of one region: checks_up / checks_total.
    uptime_ratio: Option<f64>,
    /// The same in percent, with three decimals, rounded down: `100.000` only if it was never down.
    uptime_percent: Option<String>,
    /// (up + down) / (window − paused − excluded): the share of the time that counts of which something is
    /// known. Null when no time counts, and of one region.
    coverage: Option<f64>,
    /// Null of one region, which has checks and no status. The other durations too.
    up_seconds: Option<f64>,
    down_seconds: Option<f64>,
    paused_seconds: Option<f64>,
    /// In maintenance.
    excluded_seconds: Option<f64>,
    /// Nothing was known: before the registration, until the first result, without results, and after the
    /// archiving.
    unknown_seconds: Option<f64>,
    /// Checks that were due: one for each slot and region while the monitor was not paused. Slots whose
    /// result may still come in time are left out. 0 for heartbeat monitors, which report by
    /// themselves; a report that does not come is a failed check.
    checks_expected: u64,
    /// Expected checks without a recorded result. Checks on demand fill no slot.
    checks_missed: u64,
    /// Checks that ended, those on demand included and those that the shield refused left out.
    checks_total: u64,
    checks_up: u64,
    /// Uninterrupted times of being down. Each counts in the bucket in which it begins, or in the first if it
    /// began before. Null of one region.
    outages: Option<u64>,
    /// Mean time to recovery: down time / outages. Null without outages.
    mttr_seconds: Option<f64>,
    /// Mean time between failures: up time / outages. Null without outages.
    mtbf_seconds: Option<f64>,
}

/// An uptime.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(in crate::queries) struct UptimeBody {
    #[serde(flatten)]
    figures: Figures,
    /// Events of the log up to this position are in it, and none after it.
    position: Position,
    /// The parts of the window, which add up to it; with `by` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<Figures>>,
}

// It is written piece by piece: see `organization`.
/// The uptime of all monitors together, and of each.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "it describes what is written")]
pub(in crate::queries) struct OrganizationUptimeBody {
    #[serde(flatten)]
    total: UptimeBody,
    /// In the order of their ids: all of them, or as many as `limit` says.
    monitors: Vec<MonitorUptimeBody>,
    /// Leads to the next monitors; null at the end.
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct MonitorUptimeBody {
    pub(super) monitor_id: MonitorId,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) uptime: UptimeBody,
}

impl UptimeBody {
    /// The body of the sums of each bucket of a question.
    pub(in crate::queries) fn new(
        question: &Question,
        buckets: &[Uptime],
        with_buckets: bool,
    ) -> Self {
        let total = buckets.iter().copied().fold(Uptime::default(), Uptime::plus);
        let window = question.window;
        let of_window = figures(question, (window.from, window.to), total);
        let of_bucket = |(ends, uptime): (&[i64], &Uptime)| {
            let moment = |end: usize| ends.get(end).copied().unwrap_or_default();
            let ends = (time_of(moment(0)), time_of(moment(1)));
            figures(question, ends, *uptime)
        };
        let buckets =
            with_buckets.then(|| question.borders.windows(2).zip(buckets).map(of_bucket).collect());
        Self { figures: of_window, position: question.position, buckets }
    }
}

fn time_of(microseconds: i64) -> Timestamp {
    // The borders lie within the window, whose ends are times.
    Timestamp::from_timestamp_micros(microseconds).unwrap_or_default()
}

fn figures(question: &Question, (from, to): (Timestamp, Timestamp), uptime: Uptime) -> Figures {
    let Uptime { durations, slots, checks_total, checks_up } = uptime;
    let whole = question.region.is_none();
    let seconds = |microseconds: i128| whole.then_some(microseconds as f64 / 1e6);
    let (uptime_ratio, uptime_percent) = match whole {
        true => (durations.uptime_ratio(), durations.uptime_percent()),
        false => {
            let ratio = (checks_total > 0).then(|| checks_up as f64 / checks_total as f64);
            (ratio, percent(checks_up.into(), checks_total.into()))
        }
    };
    Figures {
        from,
        to,
        uptime_ratio,
        uptime_percent,
        coverage: durations.coverage().filter(|_| whole),
        up_seconds: seconds(durations.up),
        down_seconds: seconds(durations.down),
        paused_seconds: seconds(durations.paused),
        excluded_seconds: seconds(durations.excluded),
        unknown_seconds: seconds(durations.unknown),
        checks_expected: slots.expected,
        checks_missed: slots.missed(),
        checks_total,
        checks_up,
        outages: whole.then_some(durations.outages),
        mttr_seconds: durations.mttr_seconds().filter(|_| whole),
        mtbf_seconds: durations.mtbf_seconds().filter(|_| whole),
    }
}
