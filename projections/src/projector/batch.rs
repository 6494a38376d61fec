//! Events on their way to ClickHouse, as rows.

use std::collections::HashMap;

use pulsetrail_domain::health::{Health, HealthEvent};
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{MonitorId, Position};
use pulsetrail_infra::dead_letters::Letter;
use pulsetrail_infra::store::{DecodeError, Event};

use super::PROJECTOR;
use super::timeline::{Change, Timeline};
use crate::analytics::{CheckRow, ScheduleRow, TransitionRow, name_of};

/// What is known of each monitor, up to the last event that was taken in.
#[derive(Debug, Default)]
pub(super) struct Timelines(pub(super) HashMap<MonitorId, Timeline>);

/// The rows of a run of events, and where it ends.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) checks: Vec<CheckRow>,
    pub(super) transitions: Vec<TransitionRow>,
    pub(super) schedules: Vec<ScheduleRow>,
    /// The position of the last event, and its fingerprint.
    pub(super) end: Option<(Position, String)>,
    /// How many events it stands for.
    pub(super) events: usize,
    /// Events among them that cannot be read: the projection goes on without them.
    pub(super) dead: Vec<Letter>,
}

impl Batch {
    /// Takes in events, in the order of the log.
    pub(super) fn take(&mut self, timelines: &mut Timelines, events: &[Event]) {
        for event in events {
            if let Err(error) = self.take_one(timelines, event) {
                self.dead.push(Letter::of_event(PROJECTOR, event, &error));
            }
        }
        self.events += events.len();
        if let Some(last) = events.last() {
            self.end = Some((last.position, fingerprint(last)));
        }
    }

    fn take_one(&mut self, timelines: &mut Timelines, event: &Event) -> Result<(), DecodeError> {
        let Some(monitor_id) = event.monitor_id() else { return Ok(()) };
        let change = match event.aggregate_type.as_str() {
            Monitor::AGGREGATE => {
                let decoded = event.monitor_event()?;
                self.schedules.push(ScheduleRow::new(event, monitor_id, &decoded));
                let timeline = timelines.0.entry(monitor_id).or_default();
                timeline.monitor(&decoded, event.recorded_at).map(|change| (change, timeline))
            }
            Health::AGGREGATE => {
                let decoded = event.health_event()?;
                if let HealthEvent::CheckCompleted(result) = &decoded {
                    self.checks.push(CheckRow::new(event, monitor_id, result));
                }
                let timeline = timelines.0.entry(monitor_id).or_default();
                timeline.health(&decoded).map(|change| (change, timeline))
            }
            _ => None,
        };
        if let Some((change, timeline)) = change {
            self.transitions.push(transition(event, monitor_id, change, timeline));
        }
        Ok(())
    }
}

/// Names an event, so that another log is told from the one that was read.
pub(super) fn fingerprint(event: &Event) -> String {
    let recorded_at = event.recorded_at.timestamp_micros();
    format!("{}/{}/{}@{recorded_at}", event.aggregate_type, event.aggregate_id, event.sequence)
}

fn transition(
    event: &Event,
    monitor_id: MonitorId,
    change: Change,
    timeline: &Timeline,
) -> TransitionRow {
    let cause = change.cause.as_ref();
    TransitionRow {
        organization_id: event.organization_id.0,
        monitor_id: monitor_id.0,
        position: event.position.0,
        recorded_at: event.recorded_at,
        at: change.at,
        kind: name_of(&change.kind),
        status: name_of(&timeline.status),
        health: timeline.health.as_str().to_owned(),
        settled_at: timeline.settled_at,
        check_id: change.check_id.unwrap_or_default().0,
        failure_cause: cause.map(|failure| name_of(&failure.cause)).unwrap_or_default(),
        failure_detail: cause.map(|failure| failure.detail.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::catalogue::current_version;
    use pulsetrail_domain::{OrganizationId, timestamp_from_millis};
    use serde_json::json;
    use serde_json::value::to_raw_value;
    use uuid::Uuid;

    use super::*;

    fn event(position: i64, kind: (&str, &str), payload: &serde_json::Value) -> Event {
        Event {
            position: Position(position),
            organization_id: OrganizationId(Uuid::from_u128(1)),
            aggregate_type: kind.0.to_owned(),
            aggregate_id: Uuid::from_u128(2).to_string(),
            sequence: position,
            event_type: kind.1.to_owned(),
            event_version: current_version(kind.0, kind.1).unwrap().to_owned(),
            recorded_at: timestamp_from_millis(position * 1_000),
            payload: to_raw_value(payload).unwrap(),
        }
    }

    fn history() -> Vec<Event> {
        let check = json!({
            "check_id": Uuid::from_u128(9), "region": "eu",
            "scheduled_at": "1970-01-01T00:00:03Z", "started_at": "1970-01-01T00:00:03Z",
            "outcome": "up", "timings_us": {"dns": 0, "connect": 0, "tls": 0, "first_byte": 0,
            "total": 1}, "attempts": 1, "config_version": 1, "valid_for_ms": 1_000,
        });
        vec![
            event(1, ("monitor", "MonitorPaused"), &json!({})),
            event(2, ("monitor", "MonitorResumed"), &json!({})),
            event(3, ("egress", "EgressBlocked"), &json!({})),
            event(4, ("health", "CheckCompleted"), &check),
            event(5, ("health", "CheckCompleted"), &json!({"nonsense": true})),
            event(6, ("monitor", "MonitorArchived"), &json!({})),
        ]
    }

    #[test]
    fn each_event_gives_its_rows_and_one_at_fault_is_passed_over() {
        let mut batch = Batch::default();
        batch.take(&mut Timelines::default(), &history());
        assert_eq!(batch.checks.iter().map(|row| row.position).collect::<Vec<_>>(), [4]);
        let statuses: Vec<(i64, &str)> =
            batch.transitions.iter().map(|row| (row.position, row.status.as_str())).collect();
        let schedules = batch.schedules.iter().map(|row| (row.position, row.kind.as_str()));
        assert_eq!(schedules.collect::<Vec<_>>(), [(1, "paused"), (2, "resumed"), (6, "archived")]);
        assert_eq!(statuses, [(1, "paused"), (2, "pending"), (4, "up"), (6, "archived")]);
        assert_eq!(batch.events, 6);
        assert_eq!(batch.end.unwrap().0, Position(6));
    }

    #[test]
    fn the_rows_do_not_depend_on_how_the_log_was_cut_into_batches() {
        let events = history();
        let mut whole = Batch::default();
        whole.take(&mut Timelines::default(), &events);
        for cut in 0..=events.len() {
            let mut timelines = Timelines::default();
            let mut parts = Batch::default();
            let (first, second) = events.split_at(cut);
            parts.take(&mut timelines, first);
            parts.take(&mut timelines, second);
            assert_eq!(parts.checks, whole.checks);
            assert_eq!(parts.transitions, whole.transitions);
            assert_eq!(parts.schedules, whole.schedules);
            assert_eq!(parts.end, whole.end);
        }
    }
}
