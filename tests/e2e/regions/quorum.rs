//! The quorum table, written down once more: what the status of a monitor must be after each result, from
//! nothing but the results.

use std::collections::BTreeMap;

use pulsetrail_domain::Timestamp;
use pulsetrail_domain::check::{CheckResult, Outcome};
use pulsetrail_domain::health::{Health, HealthCommand, HealthEvent, ObservationPolicy};
use serde_json::{Value, json};

/// The results of these tests count for two intervals of a second and the timeout.
const VALID_FOR_MS: i64 = 2_900;

/// The events of a monitor's health, as the domain reads them.
fn health_events(events: &[Value]) -> Vec<HealthEvent> {
    let of_health = events.iter().filter(|event| event["aggregate_type"] == "health");
    of_health
        .map(|event| {
            let name = event["event_type"].as_str().unwrap();
            serde_json::from_value(json!({ name: event["payload"] })).unwrap()
        })
        .collect()
}

/// The newest result of each region, and whether it failed.
#[derive(Default)]
struct Table(BTreeMap<String, (Timestamp, bool)>);

impl Table {
    /// Takes a result in; how many regions fail then, if it is its region's newest.
    fn take(&mut self, result: &CheckResult) -> Option<usize> {
        let row = (result.scheduled_at, result.outcome == Outcome::Down);
        let newest = self.0.get(result.region.as_str()).is_none_or(|known| known.0 < row.0);
        if !newest || result.outcome == Outcome::Blocked {
            return None;
        }
        self.0.insert(result.region.to_string(), row);
        let counts = |at: &Timestamp| (result.scheduled_at - *at).num_milliseconds() < VALID_FOR_MS;
        Some(self.0.values().filter(|(at, failed)| *failed && counts(at)).count())
    }
}

/// Where the events say another status than the table, with a quorum of so many regions.
pub(super) fn first_fault(events: &[Value], quorum: usize) -> Option<String> {
    let events = health_events(events);
    let (mut table, mut is_down) = (Table::default(), false);
    for (place, event) in events.iter().enumerate() {
        let HealthEvent::CheckCompleted(result) = event else { continue };
        let Some(failing) = table.take(result) else { continue };
        let expected = failing >= quorum;
        let changed = match events.get(place + 1) {
            Some(HealthEvent::WentDown { .. }) => Some(true),
            Some(HealthEvent::Recovered { .. }) => Some(false),
            _ => None,
        };
        is_down = changed.unwrap_or(is_down);
        if is_down != expected {
            let (region, slot) = (&result.region, result.scheduled_at);
            return Some(format!("{failing} fail after {region} at {slot}, and down is {is_down}"));
        }
    }
    None
}

/// The log that the same results lead to where votes never age.
pub(super) fn without_ageing(events: &[Value]) -> Vec<Value> {
    let policy = ObservationPolicy {
        monitor_version: 1,
        confirmations: 1,
        regions: ["ap", "eu", "us"].map(|name| name.parse().unwrap()).into(),
        quorum: 2,
        paused: false,
        archived: false,
        heartbeat: None,
    };
    let (mut health, mut log) = (Health::default(), Vec::new());
    for event in health_events(events) {
        let HealthEvent::CheckCompleted(result) = event else { continue };
        let command = HealthCommand::RecordCheck {
            result: Box::new(CheckResult { valid_for_ms: 86_400_000, ..*result }),
            policy: policy.clone(),
            known_to_be_new: true,
        };
        for event in health.decide(&command).unwrap_or_default() {
            health.apply_event(&event);
            let (name, tagged) = (event.name(), serde_json::to_value(&event).unwrap());
            log.push(json!({
                "aggregate_type": "health", "event_type": name, "payload": tagged[name],
            }));
        }
    }
    log
}
