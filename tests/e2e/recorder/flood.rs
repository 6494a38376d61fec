//! A flood of another tenant's events between two appends of a recorder.

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::monitor::MonitorCommand;
use pulsetrail_harness::Dice;
use pulsetrail_infra::store::{Append, NewEvent, Store, append_batch, append_batch_after, head};
use uuid::Uuid;

use crate::corner;
use crate::faults::load::{Load, until_taken_in};
use crate::faults::prepare;

const MONITORS: usize = 50;
const LOADED: &str = "pulsetrail_recorder_monitors_loaded_total";

/// More events of somebody else than an append can tell of.
async fn flood(store: &Store) {
    for _ in 0..4 {
        let event =
            NewEvent { event_type: "Flooded", event_version: "1.0", payload: "{}".to_owned() };
        let append = Append {
            aggregate_type: "health",
            aggregate_id: Uuid::now_v7().to_string(),
            organization_id: OrganizationId(Uuid::from_u128(1)),
            expected: Some(0),
            guard: None,
            events: vec![event; 3_000],
        };
        append_batch(&store.write, &[append]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_another_tenants_events_leaves_a_recorders_memory_as_it_is() {
    let corner = corner().await;
    prepare(&corner).await;
    let store = corner.store().await;
    let load = Load::new(&corner, MONITORS).await;
    let mut dice = Dice(2);
    let recorder = corner.role("recorder").await.until_ready().await;
    let mut slot = 0;
    let mut record = async || {
        for monitor in &load.monitors {
            load.produce_result(&load.result(*monitor, slot, &mut dice)).await;
        }
        slot += 1;
        until_taken_in(&corner, RECORDER).await;
        recorder.metric(LOADED).await
    };
    assert_eq!(record().await, MONITORS as f64);

    let before = head(&store.read).await.unwrap();
    flood(&store).await;
    let told = append_batch_after(&store.write, &[], before).await.unwrap();
    assert_eq!(told.moved, None, "an append can still tell of all these");
    // The first batch meets the flood, the second is decided from what is in memory after it.
    record().await;
    assert_eq!(record().await, MONITORS as f64);

    // The control: what the flood is about is read again.
    load.command(load.monitors[0], MonitorCommand::Pause).await.unwrap();
    flood(&store).await;
    record().await;
    assert_eq!(record().await, MONITORS as f64 + 1.0);
}
