//! Snapshots of another version of the fold.

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::MonitorId;
use pulsetrail_domain::health::Health;
use pulsetrail_harness::Dice;
use pulsetrail_infra::store::{Snapshot, Store, save_snapshots};

use super::{folded, health_of};
use crate::corner;
use crate::faults::load::{Load, until_taken_in};
use crate::faults::prepare;

/// Keeps a snapshot that is wrong: by it the monitor is paused.
async fn keep_wrong(store: &Store, monitor: MonitorId, fold_version: i32) {
    let health = Health { paused: true, ..folded(&health_of(store, monitor).await) };
    let (aggregate_id, sequence) = (monitor.to_string(), health.version);
    let state = serde_json::to_string(&health).unwrap();
    let snapshots = [Snapshot { aggregate_id, sequence, state }];
    save_snapshots(&store.write, Health::AGGREGATE, fold_version, &snapshots).await.unwrap();
}

async fn was_resumed(store: &Store, monitor: MonitorId) -> bool {
    let events = health_of(store, monitor).await;
    events.iter().any(|stored| stored.event.event_type == "ObservationResumed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_another_version_of_the_fold_is_ignored_and_made_again() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let load = Load::new(&corner, 2).await;
    let mut dice = Dice(1);
    let [of_another, of_this] = load.monitors[..] else { unreachable!() };
    let recorder = corner.role("recorder").await.until_ready().await;
    // So many that the history is long enough for a snapshot when it is read as a whole.
    for slot in 0..120 {
        for monitor in &load.monitors {
            load.produce_result(&load.result(*monitor, slot, &mut dice)).await;
        }
    }
    until_taken_in(&corner, RECORDER).await;
    assert!(recorder.stop().await.success());
    keep_wrong(&store, of_another, Health::FOLD_VERSION + 1).await;
    // The control: one of this version is believed.
    sqlx::query("delete from snapshots where aggregate_id = $1")
        .bind(of_this.to_string())
        .execute(&store.read)
        .await
        .unwrap();
    keep_wrong(&store, of_this, Health::FOLD_VERSION).await;

    let recorder = corner.role("recorder").await.until_ready().await;
    for monitor in [of_another, of_this] {
        load.produce_result(&load.result(monitor, 120, &mut dice)).await;
    }
    until_taken_in(&corner, RECORDER).await;
    assert!(recorder.stop().await.success());
    assert!(!was_resumed(&store, of_another).await);
    assert!(was_resumed(&store, of_this).await);
    let (version, state): (i32, String) =
        sqlx::query_as("select fold_version, state::text from snapshots where aggregate_id = $1")
            .bind(of_another.to_string())
            .fetch_one(&store.read)
            .await
            .unwrap();
    let state: Health = serde_json::from_str(&state).unwrap();
    assert_eq!((version, state.paused), (Health::FOLD_VERSION, false));
}
