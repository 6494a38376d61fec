use pulsetrail_domain::catalogue::current_version;
use pulsetrail_domain::monitor::MonitorEvent;
use pulsetrail_domain::{OrganizationId, timestamp_from_millis};
use pulsetrail_infra::messages::Job;
use serde_json::value::to_raw_value;

use super::super::apply;
use super::super::roster::tests::{START, monitor, registered, roster};
use super::super::template::tests::config;
use super::*;

const LATE: DropReason = DropReason::SchedulerLate;

/// The second event of a monitor, a second after its first slot.
fn second(event: &MonitorEvent) -> Event {
    let tagged = serde_json::to_value(event).unwrap();
    Event {
        position: Position(2),
        organization_id: OrganizationId::default(),
        aggregate_type: Monitor::AGGREGATE.to_owned(),
        aggregate_id: monitor(1).to_string(),
        sequence: 2,
        event_type: event.name().to_owned(),
        event_version: current_version(Monitor::AGGREGATE, event.name()).unwrap().to_owned(),
        recorded_at: timestamp_from_millis(START + 1_000),
        payload: to_raw_value(&tagged[event.name()]).unwrap(),
    }
}

/// Which slot is checked, of which URL and by which version of the configuration, before an event that comes while
/// the first slot is due, and after it.
fn jobs_around(event: &MonitorEvent) -> [Option<(i64, String, i64)>; 2] {
    let mut roster = roster();
    roster.apply(monitor(1), 1, START, &registered(1, 60), START).unwrap();
    let (event, now_ms) = (second(event), START + 2_000);
    let job = |roster: &Roster, turn: Option<Turn>| {
        let turn = turn?;
        let draft = roster.jobs(turn).next().unwrap();
        let job: Job = serde_json::from_str(&draft.json).unwrap();
        Some((turn.slot_ms, job.target.dialled_url().unwrap().into(), job.config_version))
    };
    let before = turn_before(&mut roster, &event, now_ms, LATE);
    let before = job(&roster, before);
    apply(&mut roster, &event, now_ms);
    let after = roster.take_turn(now_ms, LATE);
    [before, job(&roster, after)]
}

#[test]
fn a_turn_that_came_before_another_configuration_is_emitted_with_that_one() {
    let new = config("http://example.com/new", 60);
    let changed = MonitorEvent::MonitorReconfigured { config: Box::new(new) };
    let with_the_new = (START, "http://example.com/new".to_owned(), 2);
    assert_eq!(jobs_around(&changed), [None, Some(with_the_new)]);
}

#[test]
fn a_turn_that_came_before_a_pause_or_the_end_of_a_monitor_is_emitted_as_it_was() {
    for event in [MonitorEvent::MonitorPaused {}, MonitorEvent::MonitorArchived {}] {
        let as_it_was = (START, "http://example.com/".to_owned(), 1);
        assert_eq!(jobs_around(&event), [Some(as_it_was), None], "{event:?}");
    }
}
