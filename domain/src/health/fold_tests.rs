//! The fold over a golden history. Snapshots keep its states, so that a change of any of them needs a new
//! [`Health::FOLD_VERSION`], and a new golden file beside the old ones.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use uuid::Uuid;

use super::record::tests::result;
use super::{Health, HealthEvent, HealthStatus, REMEMBERED_SLOTS};
use crate::catalogue::EVENT_KINDS;
use crate::check::{CheckResult, Failure, FailureCause, Outcome};
use crate::{CheckId, Timestamp, timestamp_from_millis};

fn at(seconds: i64) -> Timestamp {
    timestamp_from_millis(seconds * 1_000)
}

fn check(region: &str, slot: i64, outcome: Outcome) -> HealthEvent {
    HealthEvent::CheckCompleted(Box::new(result(region, slot, outcome)))
}

fn on_demand(slot: i64, outcome: Outcome) -> HealthEvent {
    let milliseconds = u64::try_from(slot * 1_000).unwrap();
    let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &[7; 10]).into_uuid();
    let result = CheckResult { check_id: CheckId(id), ..result("a", slot, outcome) };
    HealthEvent::CheckCompleted(Box::new(result))
}

fn went_down(seconds: i64) -> HealthEvent {
    let cause = Failure { cause: FailureCause::ConnectRefused, detail: "refused".to_owned() };
    HealthEvent::WentDown { since: at(seconds), cause, check_id: CheckId(Uuid::from_u128(1)) }
}

/// Every event there is, in every order that matters to the fold. It is only ever added to.
fn history() -> Vec<HealthEvent> {
    let check_id = CheckId(Uuid::from_u128(1));
    let mut history = vec![
        check("a", 1, Outcome::Down),
        check("a", 2, Outcome::Up),
        check("b", 2, Outcome::Blocked),
        check("b", 3, Outcome::Down),
        check("a", 4, Outcome::Down),
        check("a", 3, Outcome::Up),
        went_down(3),
        on_demand(6, Outcome::Down),
        on_demand(5, Outcome::Up),
        check("a", 7, Outcome::Up),
        HealthEvent::Recovered { since: at(3), down_for_ms: 4_000, check_id },
        HealthEvent::ObservationLost { since: at(10) },
        HealthEvent::ObservationRegained {
            since: at(10),
            lost_for_ms: 5_000,
            status: HealthStatus::Up,
            check_id,
        },
        check("a", 15, Outcome::Down),
        went_down(15),
        HealthEvent::ObservationLost { since: at(18) },
        HealthEvent::ObservationRegained {
            since: at(18),
            lost_for_ms: 2_000,
            status: HealthStatus::Down,
            check_id,
        },
        HealthEvent::ObservationPaused { at: at(21), monitor_version: 2 },
        check("a", 21, Outcome::Up),
        HealthEvent::ObservationResumed { at: at(30), monitor_version: 3 },
        check("b", 30, Outcome::Down),
        HealthEvent::ObservationLost { since: at(33) },
        HealthEvent::ObservationRegained {
            since: at(33),
            lost_for_ms: 1_000,
            status: HealthStatus::Pending,
            check_id,
        },
    ];
    history.extend(more_than_are_remembered());
    history
}

/// So many checks that the oldest are forgotten, and two that come after that.
fn more_than_are_remembered() -> Vec<HealthEvent> {
    let many = i64::try_from(REMEMBERED_SLOTS).unwrap() + 3;
    let mut history: Vec<HealthEvent> = Vec::new();
    history.extend((0..many).map(|slot| check("a", 40 + slot, Outcome::Up)));
    history.extend((0..many).map(|slot| on_demand(140 + slot, Outcome::Up)));
    history.push(check("a", 39, Outcome::Down));
    history.push(on_demand(139, Outcome::Down));
    history
}

/// The state after each event, without those on the way to forgetting.
fn folded(fold: impl Fn(&mut Health, &HealthEvent)) -> Value {
    let mut health = Health::default();
    let mut states: Vec<Value> = history()
        .iter()
        .map(|event| {
            fold(&mut health, event);
            json!({ "after": event.name(), "state": health })
        })
        .collect();
    let last = states.len() - 1;
    states.drain(last - more_than_are_remembered().len() + 1..last);
    Value::from(states)
}

fn golden_file(version: i32) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/health/golden");
    PathBuf::from(folder).join(format!("fold_{version}.json"))
}

#[test]
fn the_fold_of_this_version_leads_to_the_golden_states() {
    let file = golden_file(Health::FOLD_VERSION);
    if std::env::var_os("PULSETRAIL_WRITE_GOLDEN").is_some() && !file.exists() {
        let states = serde_json::to_string_pretty(&folded(Health::apply_event)).unwrap();
        std::fs::write(&file, states + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let golden: Value = serde_json::from_str(&golden).unwrap_or_default();
    assert!(
        golden == folded(Health::apply_event),
        "Health::apply_event leads to other states than {}: raise Health::FOLD_VERSION, and run this \
         test once with PULSETRAIL_WRITE_GOLDEN=1",
        file.display()
    );
}

#[test]
fn the_golden_history_has_every_event_and_no_version_is_without_its_states() {
    let met: BTreeSet<&str> = history().iter().map(HealthEvent::name).collect();
    let known = EVENT_KINDS.iter().filter(|event| event.aggregate == Health::AGGREGATE);
    let known: BTreeSet<&str> = known.map(|event| event.name).collect();
    assert_eq!(met, known);
    assert!((1..=Health::FOLD_VERSION).all(|version| golden_file(version).exists()));
}

/// The control: a fold that differs in one thing is told from this one.
#[test]
fn a_fold_that_forgets_the_outage_of_a_silence_is_found_out() {
    let forgetful = |health: &mut Health, event: &HealthEvent| {
        health.apply_event(event);
        if matches!(event, HealthEvent::ObservationLost { .. }) {
            health.before_loss = None;
        }
    };
    assert_ne!(folded(forgetful), folded(Health::apply_event));
}
