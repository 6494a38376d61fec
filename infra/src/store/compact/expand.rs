//! From the compact form back to the full one: exactly the JSON that the domain event has.

use std::sync::LazyLock;

use chrono::{Datelike, Timelike};
use pulsetrail_domain::check::Outcome;
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{CheckId, MonitorId, Region, timestamp_from_millis};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::scan::scan_usual;
use super::{BEGINS_WITH, Compact};

/// A little more than the full form of a usual check takes, in bytes.
const USUAL_BYTES: usize = 416;

static DEFAULT_REGION: LazyLock<Region> = LazyLock::new(Region::default);

/// The full form of a payload that is compact; none where it is not, or is damaged.
pub(in super::super) fn expand(monitor: MonitorId, payload: &str) -> Option<Box<RawValue>> {
    if !payload.starts_with(BEGINS_WITH) {
        return None;
    }
    let compact = match scan_usual(payload) {
        Some(compact) => compact,
        None => serde_json::from_str(payload).ok()?,
    };
    let full = full_form(monitor, &compact)?;
    // SAFETY: it is one JSON object: fixed text, numbers, times, ids, a region's name, which is made of
    // letters, digits and hyphens, and a failure and findings that `serde_json` wrote. A property test compares it
    // with what `serde_json` writes of the whole event.
    Some(unsafe { RawValue::from_string_unchecked(full) })
}

/// By hand instead of through `CheckResult`: nearly all of the log is read through this.
fn full_form(monitor: MonitorId, compact: &Compact<'_>) -> Option<String> {
    let region = compact.region.as_deref().unwrap_or(&DEFAULT_REGION);
    let started = compact.at.checked_add(compact.started)?;
    let CheckId(check) =
        compact.check.unwrap_or_else(|| scheduled_check_id(monitor, region, compact.at));
    let failure = compact.failure.as_ref().map(serde_json::to_string).transpose().ok()?;
    let more = failure.as_ref().map_or(0, String::len);
    let mut full = String::with_capacity(USUAL_BYTES + more);
    full.push_str("{\"check_id\":\"");
    full.push_str(check.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    full.push_str("\",\"region\":\"");
    full.push_str(region.as_str());
    full.push_str("\",\"scheduled_at\":");
    push_time(&mut full, compact.at)?;
    full.push_str(",\"started_at\":");
    push_time(&mut full, started)?;
    full.push_str(match compact.outcome {
        Outcome::Up => ",\"outcome\":\"up\"",
        Outcome::Down => ",\"outcome\":\"down\"",
        Outcome::Blocked => ",\"outcome\":\"blocked\"",
    });
    if let Some(status) = compact.status {
        push(&mut full, ",\"http_status\":", status);
    }
    if let Some(failure) = failure {
        full.push_str(",\"failure\":");
        full.push_str(&failure);
    }
    let [dns, connect, tls, first_byte, total] = compact.us;
    push(&mut full, ",\"timings_us\":{\"dns\":", dns);
    push(&mut full, ",\"connect\":", connect);
    push(&mut full, ",\"tls\":", tls);
    push(&mut full, ",\"first_byte\":", first_byte);
    push(&mut full, ",\"total\":", total);
    push(&mut full, "},\"attempts\":", compact.attempts);
    push(&mut full, ",\"config_version\":", compact.config);
    push(&mut full, ",\"valid_for_ms\":", compact.valid);
    if let Some(found) = &compact.found {
        full.push_str(",\"findings\":");
        full.push_str(&serde_json::to_string(found).ok()?);
    }
    full.push('}');
    Some(full)
}

fn push(json: &mut String, name: &str, number: impl itoa::Integer) {
    json.push_str(name);
    json.push_str(itoa::Buffer::new().format(number));
}

/// A moment as its JSON text.
fn push_time(json: &mut String, millis: i64) -> Option<()> {
    let time = timestamp_from_millis(millis);
    let Some(year) = u32::try_from(time.year()).ok().filter(|year| *year <= 9_999) else {
        // Years with a sign are left to the one who defines their form.
        json.push_str(&serde_json::to_string(&time).ok()?);
        return Some(());
    };
    let (date, day) = (time.date_naive(), time.time());
    let pairs = [
        ("\"", year / 100),
        ("", year % 100),
        ("-", date.month()),
        ("-", date.day()),
        ("T", day.hour()),
        (":", day.minute()),
        (":", day.second()),
    ];
    for (before, number) in pairs {
        json.push_str(before);
        push_digit(json, number / 10);
        push_digit(json, number % 10);
    }
    match time.timestamp_subsec_millis() {
        0 => {}
        millis => {
            json.push('.');
            push_digit(json, millis / 100);
            push_digit(json, millis / 10 % 10);
            push_digit(json, millis % 10);
        }
    }
    json.push_str("Z\"");
    Some(())
}

fn push_digit(json: &mut String, digit: u32) {
    json.push(char::from_digit(digit, 10).unwrap_or_default());
}
