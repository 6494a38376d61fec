//! The stored form of `CheckCompleted`, which is nearly all of the log.
//!
//! In the table a check's fields have short names, times are milliseconds since the epoch, and what
//! can be derived or has its usual value is left out:
//!
//! ```json
//! {"at":1800000000000,"started":12,"us":[900,2100,14000,31000,48500],"status":200,"config":3,"valid":130000}
//! ```
//!
//! | stored | full field | left out when |
//! |---|---|---|
//! | `at` | `scheduled_at`, in ms; always first, it tells the compact form from the full one | |
//! | `started` | `started_at`, in ms after `at` | 0 |
//! | `us` | `timings_us`: dns, connect, tls, first byte, total | all are 0 |
//! | `status` | `http_status` | there was none |
//! | `config` | `config_version` | |
//! | `valid` | `valid_for_ms` | |
//! | `outcome` | `outcome` | `up` |
//! | `failure` | `failure` | there was none |
//! | `attempts` | `attempts` | 1 |
//! | `region` | `region` | `default` |
//! | `check` | `check_id` | it is [`scheduled_check_id`] of the monitor, the region and `at` |
//! | `found` | `findings`, since 1.1 | there were none |
//!
//! Readers never see it: [`expand`] gives back exactly the JSON that the domain event has. A row in the
//! full form is read as it stands. This is the compact form of versions 1.0 to 1.4 of the event, which
//! differ in what a failure and findings can hold; a later version gets one of its own, or none.

mod expand;
mod scan;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use pulsetrail_domain::check::{CheckResult, Failure, Findings, Outcome, TimingsUs};
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{CheckId, MonitorId, Region, Timestamp, timestamp_from_millis};
use serde::{Deserialize, Serialize};

pub(super) use expand::expand;

/// Whether events of a type and version are stored in the compact form.
pub(super) fn is_compact(event_type: &str, event_version: &str) -> bool {
    event_type == "CheckCompleted" && matches!(event_version, "1.0" | "1.1" | "1.2" | "1.3" | "1.4")
}

/// What every compact payload begins with, and no full one.
const BEGINS_WITH: &str = "{\"at\":";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compact<'a> {
    at: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    started: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    us: [u32; 5],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    config: i64,
    valid: i64,
    #[serde(default = "up", skip_serializing_if = "is_up")]
    outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Cow<'a, Failure>>,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<Cow<'a, Region>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    check: Option<CheckId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Cow<'a, Findings>>,
}

/// A check of a monitor in its compact form; none where that cannot hold it exactly, as a time that is
/// no whole millisecond.
pub(super) fn compact(monitor: MonitorId, result: &CheckResult) -> Option<String> {
    let at = whole_millis(result.scheduled_at)?;
    let started = whole_millis(result.started_at)?.checked_sub(at)?;
    let TimingsUs { dns, connect, tls, first_byte, total } = result.timings_us;
    let derived = scheduled_check_id(monitor, &result.region, at);
    let compact = Compact {
        at,
        started,
        us: [dns, connect, tls, first_byte, total],
        status: result.http_status,
        config: result.config_version,
        valid: result.valid_for_ms,
        outcome: result.outcome,
        failure: result.failure.as_ref().map(Cow::Borrowed),
        attempts: result.attempts,
        region: (result.region.as_str() != Region::DEFAULT)
            .then_some(Cow::Borrowed(&result.region)),
        check: (result.check_id != derived).then_some(result.check_id),
        found: result.findings.as_deref().map(Cow::Borrowed),
    };
    serde_json::to_string(&compact).ok()
}

fn whole_millis(time: Timestamp) -> Option<i64> {
    let millis = time.timestamp_millis();
    (timestamp_from_millis(millis) == time).then_some(millis)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn up() -> Outcome {
    Outcome::Up
}

fn is_up(outcome: &Outcome) -> bool {
    *outcome == Outcome::Up
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}
