//! A letter that is tried again long after.

use pulsetrail_domain::monitor::{MonitorCommand, MonitorRequest};
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_harness::{Target, User, eventually};
use pulsetrail_infra::store::{MonitorCommands, Store};
use pulsetrail_infra::supervised::Supervisor;
use serde_json::json;
use uuid::Uuid;

use super::{ask, id_of, until, until_letters};
use crate::corner;
use crate::recording::{Results, first_slot_ms, is_sent, recorded_slots, result_of};

/// A monitor under an id of one's own choice.
async fn register(store: &Store, organization: OrganizationId, monitor: MonitorId, url: &str) {
    let config = json!({
        "name": "late", "target": {"type": "http", "url": url}, "interval_seconds": 86_400,
        "timeout_ms": 1_000, "retries": {}, "confirmations": 1, "regions": ["default"], "tags": {},
    });
    let command = MonitorCommand::Register {
        monitor_id: monitor,
        organization_id: organization,
        config: Box::new(serde_json::from_value(config).unwrap()),
    };
    let request = MonitorRequest { expected_version: None, command };
    let commands = MonitorCommands::new(store.clone(), &Supervisor::default());
    commands.execute(organization, monitor, request, Default::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_retried_after_its_slot_was_forgotten_is_counted_once() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let monitor = MonitorId(Uuid::now_v7());
    let results = Results::of(&corner);
    let result = |slot: i64| result_of(monitor, organization, first_slot_ms() + slot * 1_000);

    // It comes before its monitor, and is tried again when 80 others have pushed it out of memory.
    results.send_result(&result(0)).await;
    let letters = until_letters(&corner, 1).await;
    assert_eq!(letters[0]["reason"], "unknown_monitor");
    register(&corner.store().await, organization, monitor, &target.url()).await;
    for slot in 1..=80 {
        results.send_result(&result(slot)).await;
    }
    let recorded = async |count: usize| {
        eventually(&format!("{count} checks of the slots are recorded"), async || {
            let mut slots = recorded_slots(&user, monitor).await;
            // Not the one that the registration led to.
            slots.retain(|slot| is_sent(slot));
            (slots.len() == count).then_some(slots)
        })
        .await
    };
    recorded(80).await;
    let id = id_of(&letters[0]);
    for _ in 0..3 {
        assert!(ask(&corner, &["retry", id]).await.0);
    }
    recorded(81).await;
    let letter = until(&corner, id, |letter| letter["status"] == "resolved").await;
    assert_eq!((&letter["failures"], &letter["retried_by"]), (&json!(1), &json!("operator")));
    // One more result of the same monitor comes after every retry.
    results.send_result(&result(81)).await;
    let mut slots = recorded(82).await;
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), 82, "a slot was recorded twice");
    app.stop().await;
}
