use chrono::DateTime;
use proptest::prelude::*;
use pulsetrail_domain::check::FailureCause;
use pulsetrail_domain::health::HealthEvent;
use uuid::Uuid;

use super::super::NewEvent;

use super::scan::scan_usual;
use super::*;

const MONITOR: MonitorId = MonitorId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));

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
        findings: None,
    }
}

/// What is stored is read for years: this text is never edited.
#[test]
fn a_usual_check_is_stored_in_a_hundred_bytes() {
    let stored = "{\"at\":1800000000000,\"started\":12,\"us\":[900,2100,14000,31000,48500],\
                  \"status\":200,\"config\":3,\"valid\":130000}";
    assert_eq!(compact(MONITOR, &usual()).unwrap(), stored);
    assert_eq!(expand(MONITOR, stored).unwrap().get(), serde_json::to_string(&usual()).unwrap());
}

/// Nearly all of the log is of it: a new version has to be given a compact form, or the log grows threefold.
#[test]
fn the_version_that_is_written_has_a_compact_form() {
    let event = HealthEvent::CheckCompleted(Box::new(usual()));
    assert!(is_compact(event.name(), event.version()), "{}", event.version());
    let stored = NewEvent::health(MONITOR, &event).unwrap();
    assert!(stored.payload.starts_with(BEGINS_WITH), "{}", stored.payload);
}

/// Everything that can be left out is there.
#[test]
fn an_unusual_check_is_stored_with_all_its_fields() {
    let stored = "{\"at\":-5,\"started\":-1,\"us\":[0,0,0,0,1],\"status\":503,\"config\":1,\
                  \"valid\":2,\"outcome\":\"down\",\
                  \"failure\":{\"cause\":\"http_status_unexpected\",\"detail\":\"\\\"503\\\"\"},\
                  \"attempts\":3,\"region\":\"eu\",\
                  \"check\":\"00000000-0000-7000-8000-000000000001\",\
                  \"found\":{\"answers\":[\"192.0.2.1\"]}}";
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
    let failures = (causes, any::<String>()).prop_map(|(cause, detail)| Failure { cause, detail });
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
        (any::<u32>(), any::<i64>(), any::<i64>(), prop::option::of(any::<Vec<String>>())),
    )
        .prop_map(|((at, started, near, check, region), result, rest)| {
            let (attempts, config, valid, answers) = rest;
            let (outcome, http_status, failure, [dns, connect, tls, first_byte, total]) = result;
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
                findings: answers
                    .map(|answers| Box::new(Findings { answers, ..Findings::default() })),
            }
        })
}

#[test]
fn a_usual_check_is_scanned_and_any_other_text_is_left_to_the_parser() {
    let usual =
        "{\"at\":5,\"started\":12,\"us\":[1,2,3,4,5],\"status\":200,\"config\":3,\"valid\":1}";
    assert_eq!(scan_usual(usual).unwrap(), serde_json::from_str(usual).unwrap());
    let least = "{\"at\":-5,\"config\":3,\"valid\":1}";
    assert_eq!(scan_usual(least).unwrap(), serde_json::from_str(least).unwrap());
    for other in [
        "{\"at\":5,\"config\":3}",
        "{\"at\":5,\"config\":3,\"valid\":1",
        "{\"at\":5,\"config\":3,\"valid\":1,\"attempts\":2}",
        "{\"at\":5,\"valid\":1,\"config\":3}",
        "{\"at\":5-5,\"config\":3,\"valid\":1}",
        "{\"at\":99999999999999999999,\"config\":3,\"valid\":1}",
        "{\"at\":5,\"us\":[1,2,3,4],\"config\":3,\"valid\":1}",
        "{\"at\":5,\"us\":[1,2,3,4,-5],\"config\":3,\"valid\":1}",
        "{\"at\":5, \"config\":3,\"valid\":1}",
    ] {
        assert_eq!(scan_usual(other), None, "{other}");
    }
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

    #[test]
    fn the_scan_reads_what_the_parser_reads(result in results()) {
        let usual = CheckResult {
            outcome: Outcome::Up,
            failure: None,
            attempts: 1,
            findings: None,
            ..result
        };
        let usual = CheckResult {
            region: Region::default(),
            check_id: scheduled_check_id(
                MONITOR, &Region::default(), usual.scheduled_at.timestamp_millis()),
            ..usual
        };
        let stored = compact(MONITOR, &usual).unwrap();
        let scanned = scan_usual(&stored).unwrap();
        prop_assert_eq!(scanned, serde_json::from_str::<Compact<'_>>(&stored).unwrap());
    }
}
