//! Events on their way to ClickHouse, as rows.

use std::collections::HashMap;

use pulsetrail_domain::health::{Health, HealthEvent};
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_domain::{MonitorId, Position};
use pulsetrail_infra::dead_letters::Letter;
use pulsetrail_infra::store::{DecodeError, Event};

use super::PROJECTOR;
use super::timeline::{Change, Timeline};
use crate::analytics::{CheckRow, ScheduleRow, Status, TransitionRow, name_of};

/// What is known of each monitor that is not archived, up to the last event that was taken in. Nothing changes
/// the status of an archived one, so it is forgotten.
#[derive(Debug, Default)]
pub(super) struct Timelines(pub(super) HashMap<MonitorId, Timeline>);

impl Timelines {
    /// Forgets an archived monitor, and gives memory back when most of it is unused.
    fn forget(&mut self, monitor_id: MonitorId) {
        self.0.remove(&monitor_id);
        if self.0.capacity() > 4 * self.0.len().max(1_024) {
            self.0.shrink_to(2 * self.0.len());
        }
    }
}

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

    /// Takes in one event.
    ///
    /// # Errors
    /// Where it cannot be read; then nothing was taken in.
    pub(super) fn take_one(
        &mut self,
        timelines: &mut Timelines,
        event: &Event,
    ) -> Result<(), DecodeError> {
        let Some(monitor_id) = event.monitor_id() else { return Ok(()) };
        match event.aggregate_type.as_str() {
            Monitor::AGGREGATE => {
                let decoded = event.monitor_event()?;
                self.schedules.push(ScheduleRow::new(event, monitor_id, &decoded));
                let timeline = timelines.0.entry(monitor_id).or_default();
                if let Some(change) = timeline.monitor(&decoded, event.recorded_at) {
                    self.transitions.push(transition(event, monitor_id, change, timeline));
                }
                if timeline.status == Status::Archived {
                    timelines.forget(monitor_id);
                }
            }
            Health::AGGREGATE => {
                let decoded = event.health_event()?;
                if let HealthEvent::CheckCompleted(result) = &decoded {
                    self.checks.push(CheckRow::new(event, monitor_id, result));
                }
                // A late result of an archived monitor is a row, and no change.
                let Some(timeline) = timelines.0.get_mut(&monitor_id) else { return Ok(()) };
                if let Some(change) = timeline.health(&decoded) {
                    self.transitions.push(transition(event, monitor_id, change, timeline));
                }
            }
            _ => {}
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

    fn check() -> serde_json::Value {
        json!({
            "check_id": Uuid::from_u128(9), "region": "eu",
            "scheduled_at": "1970-01-01T00:00:03Z", "started_at": "1970-01-01T00:00:03Z",
            "outcome": "up", "timings_us": {"dns": 0, "connect": 0, "tls": 0, "first_byte": 0,
            "total": 1}, "attempts": 1, "config_version": 1, "valid_for_ms": 1_000,
        })
    }

    fn history() -> Vec<Event> {
        let check = check();
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
    fn archived_monitors_are_forgotten_and_what_comes_late_is_a_check_that_changes_nothing() {
        let mut timelines = Timelines::default();
        let of = |monitor: u128, event: Event| Event {
            aggregate_id: Uuid::from_u128(monitor).to_string(),
            ..event
        };
        let all: Vec<u128> = (1..=20_000).collect();
        for kind in ["MonitorResumed", "MonitorArchived"] {
            let events: Vec<Event> =
                all.iter().map(|id| of(*id, event(1, ("monitor", kind), &json!({})))).collect();
            Batch::default().take(&mut timelines, &events);
            let known = if kind == "MonitorArchived" { 0 } else { all.len() };
            assert_eq!(timelines.0.len(), known);
        }
        assert!(timelines.0.capacity() < 5_000, "{}", timelines.0.capacity());
        let mut late = Batch::default();
        let went_down = json!({
            "since": "1970-01-01T00:00:03Z", "check_id": Uuid::from_u128(9),
            "cause": {"cause": "connect_refused", "detail": "refused"},
        });
        let events = [
            event(2, ("health", "CheckCompleted"), &check()),
            event(3, ("health", "WentDown"), &went_down),
        ];
        late.take(&mut timelines, &events);
        assert_eq!((late.checks.len(), late.transitions.len(), late.dead.len()), (1, 0, 0));
        assert!(timelines.0.is_empty());
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
