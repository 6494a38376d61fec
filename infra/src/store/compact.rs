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
//!
//! Readers never see it: [`expand`] gives back exactly the JSON that the domain event has. A row in the
//! full form is read as it stands. This is the compact form of version 1.0 of the event; a later version
//! gets one of its own, or none.

use std::borrow::Cow;
use std::fmt::Write;

use chrono::{Datelike, Timelike};
use pulsetrail_domain::check::{CheckResult, Failure, Outcome, TimingsUs};
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{CheckId, MonitorId, Region, Timestamp, timestamp_from_millis};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

/// The event that is stored in the compact form, and the version of its shape.
pub(super) const COMPACT_EVENT: (&str, &str) = ("CheckCompleted", "1.0");

/// What every compact payload begins with, and no full one.
const BEGINS_WITH: &str = "{\"at\":";

#[derive(Serialize, Deserialize)]
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
    };
    serde_json::to_string(&compact).ok()
}

/// The full form of a payload that is compact; none where it is not, or is damaged.
pub(super) fn expand(monitor: MonitorId, payload: &str) -> Option<Box<RawValue>> {
    if !payload.starts_with(BEGINS_WITH) {
        return None;
    }
    let compact: Compact<'_> = serde_json::from_str(payload).ok()?;
    let region = compact.region.map(Cow::into_owned).unwrap_or_default();
    let started = compact.at.checked_add(compact.started)?;
    let check = match compact.check {
        Some(check) => check,
        None => scheduled_check_id(monitor, &region, compact.at),
    };
    // By hand instead of through `CheckResult`, which would take twice as long; a test compares.
    let mut full =
        String::with_capacity(400 + compact.failure.as_ref().map_or(0, |one| one.detail.len()));
    let mut id = Uuid::encode_buffer();
    full.push_str("{\"check_id\":\"");
    full.push_str(check.0.hyphenated().encode_lower(&mut id));
    full.push_str("\",\"region\":\"");
    full.push_str(region.as_str());
    full.push_str("\",\"scheduled_at\":");
    push_time(&mut full, compact.at).ok()?;
    full.push_str(",\"started_at\":");
    push_time(&mut full, started).ok()?;
    full.push_str(",\"outcome\":");
    full.push_str(match compact.outcome {
        Outcome::Up => "\"up\"",
        Outcome::Down => "\"down\"",
        Outcome::Blocked => "\"blocked\"",
    });
    if let Some(status) = compact.status {
        write!(full, ",\"http_status\":{status}").ok()?;
    }
    if let Some(failure) = &compact.failure {
        full.push_str(",\"failure\":");
        full.push_str(&serde_json::to_string(failure).ok()?);
    }
    let [dns, connect, tls, first_byte, total] = compact.us;
    write!(
        full,
        ",\"timings_us\":{{\"dns\":{dns},\"connect\":{connect},\"tls\":{tls},\
         \"first_byte\":{first_byte},\"total\":{total}}},\"attempts\":{},\
         \"config_version\":{},\"valid_for_ms\":{}}}",
        compact.attempts, compact.config, compact.valid
    )
    .ok()?;
    RawValue::from_string(full).ok()
}

/// A moment as its JSON text.
fn push_time(json: &mut String, millis: i64) -> Result<(), std::fmt::Error> {
    let time = timestamp_from_millis(millis);
    if !(0..=9_999).contains(&time.year()) {
        // Years with a sign are left to the one who defines their form.
        let text = serde_json::to_string(&time).map_err(|_| std::fmt::Error)?;
        json.push_str(&text);
        return Ok(());
    }
    let (date, day) = (time.date_naive(), time.time());
    write!(json, "\"{:04}-{:02}-{:02}T", date.year(), date.month(), date.day())?;
    write!(json, "{:02}:{:02}:{:02}", day.hour(), day.minute(), day.second())?;
    match time.timestamp_subsec_millis() {
        0 => json.push_str("Z\""),
        millis => write!(json, ".{millis:03}Z\"")?,
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use pulsetrail_domain::check::FailureCause;

    use super::*;

    const MONITOR: MonitorId =
        MonitorId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));

    fn usual() -> CheckResult {
        let at = 1_800_000_000_000;
        CheckResult {
            check_id: scheduled_check_id(MONITOR, &Region::default(), at),
            region: Region::default(),
            scheduled_at: timestamp_from_millis(at),
            started_at: timestamp_from_millis(at + 12),
            outcome: Outcome::Up,
            http_status: Some(200),
            failure: None,
            timings_us: TimingsUs {
                dns: 900,
                connect: 2_100,
                tls: 14_000,
                first_byte: 31_000,
                total: 48_500,
            },
            attempts: 1,
            config_version: 3,
            valid_for_ms: 130_000,
        }
    }

    /// What is stored is read for years: this text is never edited.
    #[test]
    fn a_usual_check_is_stored_in_a_hundred_bytes() {
        let stored = "{\"at\":1800000000000,\"started\":12,\"us\":[900,2100,14000,31000,48500],\
                      \"status\":200,\"config\":3,\"valid\":130000}";
        assert_eq!(compact(MONITOR, &usual()).unwrap(), stored);
        assert_eq!(
            expand(MONITOR, stored).unwrap().get(),
            serde_json::to_string(&usual()).unwrap()
        );
    }

    /// Everything that can be left out is there.
    #[test]
    fn an_unusual_check_is_stored_with_all_its_fields() {
        let stored = "{\"at\":-5,\"started\":-1,\"us\":[0,0,0,0,1],\"status\":503,\"config\":1,\
                      \"valid\":2,\"outcome\":\"down\",\
                      \"failure\":{\"cause\":\"http_status_unexpected\",\"detail\":\"\\\"503\\\"\"},\
                      \"attempts\":3,\"region\":\"eu\",\
                      \"check\":\"00000000-0000-7000-8000-000000000001\"}";
        let full = expand(MONITOR, stored).unwrap();
        let result: CheckResult = serde_json::from_str(full.get()).unwrap();
        assert_eq!(result.outcome, Outcome::Down);
        assert!(result.is_on_demand());
        assert_eq!(compact(MONITOR, &result).unwrap(), stored);
    }

    #[test]
    fn a_time_between_two_milliseconds_is_stored_in_full() {
        let between = DateTime::from_timestamp_nanos(1_800_000_000_000_000_001);
        assert_eq!(compact(MONITOR, &CheckResult { scheduled_at: between, ..usual() }), None);
        assert_eq!(compact(MONITOR, &CheckResult { started_at: between, ..usual() }), None);
    }

    #[test]
    fn what_is_not_compact_is_left_to_the_reader_of_the_full_form() {
        let full = serde_json::to_string(&usual()).unwrap();
        for text in [&full, "{}", "{\"at\":1}", "{\"at\":\"x\",\"config\":1,\"valid\":1}"] {
            assert!(expand(MONITOR, text).is_none(), "{text}");
        }
    }

    fn results() -> impl Strategy<Value = CheckResult> {
        let causes = prop::sample::select(vec![
            FailureCause::DnsNxdomain,
            FailureCause::TlsExpired,
            FailureCause::ShieldRefused,
        ]);
        let failures =
            (causes, any::<String>()).prop_map(|(cause, detail)| Failure { cause, detail });
        let outcomes = prop::sample::select(vec![Outcome::Up, Outcome::Down, Outcome::Blocked]);
        // Years 1 to 9999, and the odd one outside.
        let times = || {
            prop_oneof![9 => -62_135_596_800_000..253_402_300_800_000_i64,
                                   1 => -8_000_000_000_000_000..8_000_000_000_000_000_i64]
        };
        let regions = prop_oneof![Just("default".to_owned()), "[a-z0-9-]{1,32}"];
        (
            (times(), times(), any::<bool>(), any::<Option<u128>>(), regions),
            (outcomes, any::<Option<u16>>(), prop::option::of(failures), any::<[u32; 5]>()),
            (any::<u32>(), any::<i64>(), any::<i64>()),
        )
            .prop_map(
                |((at, started, near, check, region), result, (attempts, config, valid))| {
                    let (outcome, http_status, failure, [dns, connect, tls, first_byte, total]) =
                        result;
                    let region: Region = region.parse().unwrap();
                    let derived = scheduled_check_id(MONITOR, &region, at);
                    let started = if near { at + i64::from(attempts % 100) } else { started };
                    CheckResult {
                        check_id: check.map_or(derived, |id| CheckId(Uuid::from_u128(id))),
                        region,
                        scheduled_at: timestamp_from_millis(at),
                        started_at: timestamp_from_millis(started),
                        outcome,
                        http_status,
                        failure,
                        timings_us: TimingsUs { dns, connect, tls, first_byte, total },
                        attempts,
                        config_version: config,
                        valid_for_ms: valid,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn every_check_comes_back_as_the_same_json(result in results()) {
            let stored = compact(MONITOR, &result).unwrap();
            let full = serde_json::to_string(&result).unwrap();
            let expanded = expand(MONITOR, &stored).unwrap();
            prop_assert_eq!(expanded.get(), full.as_str());
            prop_assert!(stored.len() < full.len());
        }
    }
}
