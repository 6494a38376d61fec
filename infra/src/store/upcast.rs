//! Upcasting: an event that was stored in an old version is seen in the current one, by every reader.
//!
//! The log is never rewritten. Instead each change of an event type comes with a step from the version
//! before, and whoever takes an event out of the store or out of Kafka takes it through the steps:
//! loads of aggregates, the replay and the following of the log, the
//! relay, the API. What remains in another version than the current one is known to nobody here, and
//! decoding it is [`DecodeError::UnknownVersion`](super::DecodeError::UnknownVersion).

use std::sync::OnceLock;

use pulsetrail_domain::egress::{EgressEvent, Refusal};
use pulsetrail_domain::health::Health;
use pulsetrail_domain::monitor::Monitor;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::Event;

/// One step: from a version of an event type to the next.
#[derive(Clone, Copy, Debug)]
pub struct Upcaster {
    /// The kind of aggregate.
    pub aggregate: &'static str,
    /// The event's name.
    pub event: &'static str,
    /// The version that is read.
    pub from: &'static str,
    /// The version that comes out.
    pub to: &'static str,
    /// Makes the event's own fields in the one version of those in the other. What it cannot make
    /// sense of it leaves: decoding says what is wrong with it. None where the later version only has
    /// more to say.
    pub convert: Option<fn(Value) -> Value>,
}

const fn more_to_say(
    aggregate: &'static str,
    event: &'static str,
    (from, to): (&'static str, &'static str),
) -> Upcaster {
    Upcaster { aggregate, event, from, to, convert: None }
}

/// Every step there is.
const UPCASTERS: &[Upcaster] = &[
    // Further kinds of targets; assertions, who asks, and secret headers of the one there was.
    more_to_say(Monitor::AGGREGATE, "MonitorRegistered", ("1.0", "1.1")),
    more_to_say(Monitor::AGGREGATE, "MonitorReconfigured", ("1.0", "1.1")),
    // Further causes, and what else was found out.
    more_to_say(Health::AGGREGATE, "CheckCompleted", ("1.0", "1.1")),
    more_to_say(Health::AGGREGATE, "WentDown", ("1.0", "1.1")),
    // The version of HTTP, and causes of their own for what goes beyond a limit.
    more_to_say(Health::AGGREGATE, "CheckCompleted", ("1.1", "1.2")),
    more_to_say(Health::AGGREGATE, "WentDown", ("1.1", "1.2")),
    // Further causes.
    more_to_say(Health::AGGREGATE, "CheckCompleted", ("1.2", "1.3")),
    more_to_say(Health::AGGREGATE, "WentDown", ("1.2", "1.3")),
    // Versions of HTTP, redirects to http, and whether the body is read.
    more_to_say(Monitor::AGGREGATE, "MonitorRegistered", ("1.1", "1.2")),
    more_to_say(Monitor::AGGREGATE, "MonitorReconfigured", ("1.1", "1.2")),
    // The certificate of the client is new.
    more_to_say(Monitor::AGGREGATE, "MonitorRegistered", ("1.2", "1.3")),
    more_to_say(Monitor::AGGREGATE, "MonitorReconfigured", ("1.2", "1.3")),
    // A demand for a client certificate, and a report of a failure.
    more_to_say(Health::AGGREGATE, "CheckCompleted", ("1.3", "1.4")),
    more_to_say(Health::AGGREGATE, "WentDown", ("1.3", "1.4")),
    // No address that does not stand in the URL.
    Upcaster {
        aggregate: EgressEvent::AGGREGATE,
        event: "EgressBlocked",
        from: "1.0",
        to: "1.1",
        convert: Some(without_resolved_address),
    },
];

/// A refusal as the organization is told of it since 1.1.
fn without_resolved_address(mut own: Value) -> Value {
    let text = |field: &str| own[field].as_str().unwrap_or_default().to_owned();
    let refusal = Refusal { url: text("url"), address: text("address"), range: String::new() };
    if refusal.told().address.is_empty()
        && let Some(fields) = own.as_object_mut()
    {
        fields.remove("address");
    }
    own
}

static MORE: OnceLock<Vec<Upcaster>> = OnceLock::new();

/// Adds steps to those of the program, once a process; false where some were added before. This is for
/// tests that stand in for a version that never was.
pub fn add_upcasters(more: Vec<Upcaster>) -> bool {
    MORE.set(more).is_ok()
}

fn steps() -> impl Iterator<Item = &'static Upcaster> {
    UPCASTERS.iter().chain(MORE.get().into_iter().flatten())
}

fn step_from(aggregate: &str, event: &str, version: &str) -> Option<&'static Upcaster> {
    steps().find(|step| step.from == version && step.event == event && step.aggregate == aggregate)
}

/// The event in the newest version that the steps lead to.
pub(crate) fn to_current(mut event: Event) -> Event {
    while let Some(step) = step_from(&event.aggregate_type, &event.event_type, &event.event_version)
    {
        if let Some(payload) = converted(&event.payload, step) {
            event.payload = payload;
        }
        step.to.clone_into(&mut event.event_version);
    }
    event
}

fn converted(payload: &RawValue, step: &Upcaster) -> Option<Box<RawValue>> {
    let convert = step.convert?;
    let before = serde_json::from_str(payload.get()).ok()?;
    to_raw_value(&convert(before)).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use pulsetrail_domain::monitor::MonitorEvent;
    use pulsetrail_domain::{OrganizationId, Position, timestamp_from_millis};
    use serde_json::json;

    use super::super::DecodeError;
    use super::*;

    /// Two versions that never were: 0.8 had the configuration as `settings`, 0.9 under its name but
    /// without `confirmations`.
    pub(in crate::store) fn install() {
        let step = |from, to, convert: fn(Value) -> Value| Upcaster {
            aggregate: Monitor::AGGREGATE,
            event: "MonitorReconfigured",
            from,
            to,
            convert: Some(convert),
        };
        add_upcasters(vec![
            step("0.8", "0.9", |mut own| json!({ "config": own["settings"].take() })),
            step("0.9", "1.0", |mut own| {
                own["config"]["confirmations"] = json!(1);
                own
            }),
        ]);
    }

    fn config() -> Value {
        json!({
            "name": "old", "target": {"type": "http", "url": "https://example.com/"},
            "interval_seconds": 60, "timeout_ms": 1000, "retries": {}, "regions": ["default"],
            "tags": {},
        })
    }

    fn stored(version: &str, payload: &Value) -> Event {
        Event {
            position: Position(7),
            organization_id: OrganizationId::default(),
            aggregate_type: Monitor::AGGREGATE.to_owned(),
            aggregate_id: "some id".to_owned(),
            sequence: 2,
            event_type: "MonitorReconfigured".to_owned(),
            event_version: version.to_owned(),
            recorded_at: timestamp_from_millis(0),
            payload: to_raw_value(payload).unwrap(),
        }
    }

    fn name_in(event: &MonitorEvent) -> &str {
        match event {
            MonitorEvent::MonitorReconfigured { config } if config.confirmations == 1 => {
                &config.name
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_old_event_is_seen_in_the_current_version_however_many_steps_that_takes() {
        install();
        for (version, payload) in
            [("0.8", json!({"settings": config()})), ("0.9", json!({"config": config()}))]
        {
            let event = to_current(stored(version, &payload));
            assert_eq!(event.event_version, "1.3");
            assert_eq!(name_in(&event.monitor_event().unwrap()), "old");
            // Again it changes nothing.
            assert_eq!(to_current(event.clone()).payload.get(), event.payload.get());
        }
    }

    #[test]
    fn an_old_refusal_tells_no_address_that_does_not_stand_in_its_url() {
        for (url, told) in [("http://db.internal/", None), ("http://10.1.2.3/", Some("10.1.2.3"))] {
            let payload = json!({"origin": "probe", "url": url, "address": "10.1.2.3", "range": "10.0.0.0/8"});
            let old = Event {
                aggregate_type: EgressEvent::AGGREGATE.to_owned(),
                event_type: "EgressBlocked".to_owned(),
                ..stored("1.0", &payload)
            };
            let event = to_current(old);
            assert_eq!(event.event_version, "1.1");
            let EgressEvent::EgressBlocked { address, .. } = event.egress_event().unwrap();
            assert_eq!(address.as_deref(), told, "{url}");
        }
    }

    #[test]
    fn a_version_that_no_step_leads_from_is_unknown_whatever_its_payload() {
        install();
        for version in ["0.7", "1.4", "2.0"] {
            let mut payload = json!({"config": config()});
            payload["config"]["confirmations"] = json!(1);
            let event = to_current(stored(version, &payload));
            let unknown = event.monitor_event().unwrap_err();
            let expected = version;
            assert!(
                matches!(unknown, DecodeError::UnknownVersion { event_version, .. } if event_version == expected)
            );
        }
    }
}
