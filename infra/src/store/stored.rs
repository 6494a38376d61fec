//! An event as its columns have it, whichever way they came from the server.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use chrono::DateTime;
use pulsetrail_domain::{OrganizationId, Position, Timestamp};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Event;
use super::compact::{expand, is_compact};
use super::upcast::to_current;

/// PostgreSQL counts microseconds from 2000-01-01.
const EPOCH_US: i64 = 946_684_800_000_000;
/// The years that `recorded_at` is read in, as microseconds since the Unix epoch: 1970 to 2199. All that
/// read it, ClickHouse too, know these.
const YEARS_US: RangeInclusive<i64> = 0..=7_258_118_399_999_999;

/// `recorded_at` of what the server sends. The store's own clock sets it. A direct insert may put any value
/// there, such as `infinity`; it is read as the nearest time that all readers know. One row at fault then
/// does not keep a reader from the rows after it.
pub(super) fn time_of(postgres_us: i64) -> Timestamp {
    let since_unix = postgres_us.saturating_add(EPOCH_US);
    let within = since_unix.clamp(*YEARS_US.start(), *YEARS_US.end());
    // Every time of these years can be represented.
    DateTime::from_timestamp_micros(within).unwrap_or_default()
}

/// The columns of an event.
pub(super) struct Stored<'a> {
    pub(super) position: i64,
    pub(super) organization_id: Uuid,
    pub(super) aggregate_type: &'a str,
    pub(super) aggregate_id: &'a str,
    pub(super) sequence: i64,
    pub(super) event_type: &'a str,
    pub(super) event_version: &'a str,
    pub(super) recorded_at: Timestamp,
    pub(super) payload: &'a str,
}

impl Stored<'_> {
    /// The event in its full form and its current version.
    ///
    /// # Errors
    /// Where the payload is not JSON, which the column does not take.
    pub(super) fn event(&self) -> Result<Event, serde_json::Error> {
        Ok(to_current(Event {
            position: Position(self.position),
            organization_id: OrganizationId(self.organization_id),
            aggregate_type: self.aggregate_type.to_owned(),
            aggregate_id: self.aggregate_id.to_owned(),
            sequence: self.sequence,
            event_type: self.event_type.to_owned(),
            event_version: self.event_version.to_owned(),
            recorded_at: self.recorded_at,
            payload: self.own_fields()?,
        }))
    }

    fn own_fields(&self) -> Result<Box<RawValue>, serde_json::Error> {
        if is_compact(self.event_type, self.event_version)
            && let Ok(monitor) = self.aggregate_id.parse()
            && let Some(full) = expand(monitor, self.payload)
        {
            return Ok(full);
        }
        Ok(without_tag(RawValue::from_string(self.payload.to_owned())?, self.event_type))
    }
}

/// `postgres-es` stores `{"MonitorPaused": {…}}`, the name once more around the event's own fields.
fn without_tag(payload: Box<RawValue>, event_type: &str) -> Box<RawValue> {
    let begins_with_tag = payload
        .get()
        .trim_start_matches(['{', ' ', '"'])
        .strip_prefix(event_type)
        .is_some_and(|rest| rest.starts_with('"'));
    if begins_with_tag
        && let Ok(mut tagged) = serde_json::from_str::<HashMap<&str, Box<RawValue>>>(payload.get())
        && let (1, Some(own)) = (tagged.len(), tagged.remove(event_type))
    {
        return own;
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_no_reader_knows_is_read_as_the_nearest_one() {
        assert_eq!(time_of(1_000_001).to_rfc3339(), "2000-01-01T00:00:01.000001+00:00");
        assert_eq!(time_of(i64::MIN), DateTime::UNIX_EPOCH);
        assert_eq!(time_of(i64::MAX).to_rfc3339(), "2199-12-31T23:59:59.999999+00:00");
    }

    #[test]
    fn the_name_around_a_payload_is_taken_off() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let bare = |text: &str| without_tag(raw(text), "WentDown").get().to_owned();
        assert_eq!(bare(r#"{"WentDown":{"a":1}}"#), r#"{"a":1}"#);
        assert_eq!(bare(r#"{"WentDown": {"a": 1}}"#), r#"{"a": 1}"#);
        assert_eq!(bare(r#"{"WentDown":1,"b":2}"#), r#"{"WentDown":1,"b":2}"#);
        assert_eq!(bare(r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
