//! An event that cannot be read among those that a recorder looks through for a late result.

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::MonitorId;
use pulsetrail_domain::health::{Health, HealthEvent};
use pulsetrail_harness::Dice;
use pulsetrail_infra::store::{
    Append, NewEvent, Snapshot, Store, append_batch, recorded_before, save_snapshots,
};

use super::{folded, health_of};
use crate::corner;
use crate::faults::load::{Load, until_taken_in};
use crate::faults::prepare;

/// Appends a check in a version that this program does not know, and the snapshot behind it, as a later
/// program would have. Returns its position.
async fn plant(store: &Store, load: &Load, monitor: MonitorId) -> i64 {
    let mut health = folded(&health_of(store, monitor).await);
    let event = NewEvent {
        event_type: "CheckCompleted",
        event_version: "9.9",
        payload: "{\"of\":\"a later program\"}".to_owned(),
    };
    let append = Append {
        aggregate_type: Health::AGGREGATE,
        aggregate_id: monitor.to_string(),
        organization_id: load.organization,
        expected: Some(health.version),
        guard: None,
        events: vec![event],
    };
    let appended = append_batch(&store.write, &[append]).await.unwrap();
    assert!(appended.conflicts.is_empty());
    health.version += 1;
    let (aggregate_id, sequence) = (monitor.to_string(), health.version);
    let state = serde_json::to_string(&health).unwrap();
    let snapshots = [Snapshot { aggregate_id, sequence, state }];
    let version = Health::FOLD_VERSION;
    save_snapshots(&store.write, Health::AGGREGATE, version, &snapshots).await.unwrap();
    appended.reached.0
}

/// The slots that were recorded, those of events that can be read.
async fn slots_of(store: &Store, monitor: MonitorId) -> Vec<i64> {
    let events = health_of(store, monitor).await;
    let checks = events.iter().filter_map(|stored| match stored.event.health_event() {
        Ok(HealthEvent::CheckCompleted(result)) => Some(result.slot_ms()),
        _ => None,
    });
    checks.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_event_is_passed_over_in_the_search_for_a_late_result() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let load = Load::new(&corner, 2).await;
    let mut dice = Dice(3);
    let [monitor, other] = load.monitors[..] else { unreachable!() };
    let early = load.result(monitor, 0, &mut dice);
    let late = load.result(monitor, 1, &mut dice);
    let recorder = corner.role("recorder").await.until_ready().await;
    load.produce_result(&early).await;
    for slot in 2..10 {
        load.produce_result(&load.result(monitor, slot, &mut dice)).await;
    }
    until_taken_in(&corner, RECORDER).await;
    assert!(recorder.stop().await.success());
    let position = plant(&store, &load, monitor).await;

    let recorder = corner.role("recorder").await.until_ready().await;
    for slot in 10..90 {
        load.produce_result(&load.result(monitor, slot, &mut dice)).await;
    }
    until_taken_in(&corner, RECORDER).await;
    // One that was recorded, and one that was not: both are older than what is remembered.
    load.produce_result(&early).await;
    load.produce_result(&late).await;
    load.produce_result(&load.result(other, 0, &mut dice)).await;
    until_taken_in(&corner, RECORDER).await;
    assert!(recorder.stop().await.success());

    let mut slots = slots_of(&store, monitor).await;
    assert_eq!(slots.len(), 90);
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), 90, "a slot was recorded twice");
    assert_eq!(slots_of(&store, other).await.len(), 1);
    let letters: Vec<(String, Option<i64>, String)> =
        sqlx::query_as("select consumer, position, reason from dead_letters")
            .fetch_all(&store.read)
            .await
            .unwrap();
    let expected = (RECORDER.to_owned(), Some(position), "unknown_version".to_owned());
    assert_eq!(letters, [expected]);

    // The control: the search does meet the event, and nothing can read it.
    let before = recorded_before(&store.read, monitor, &[&early.result]).await.unwrap();
    assert!(before.checks.contains(&early.result.check_id));
    let met: Vec<i64> = before.unreadable.iter().map(|(event, _)| event.position.0).collect();
    assert_eq!(met, [position]);
}
