//! Messages at fault in the midst of good ones.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId};
use pulsetrail_harness::Dice;
use serde_json::json;
use uuid::Uuid;

use super::judge::{Fault, faults};
use super::load::{Load, until_taken_in};
use super::{prepare, short_or_long};
use crate::corner;

/// Where a message was, and why it was set aside.
type Letters = BTreeMap<(i32, i64), String>;

/// Sends one message at fault on a partition of its own, and returns where it is and what is wrong.
async fn poison(load: &Load, dice: &mut Dice) -> ((i32, i64), String) {
    let monitor = *dice.pick(&load.monitors).unwrap();
    let slot = 1_000_000 + i64::try_from(dice.roll(1_000_000)).unwrap();
    let mut message = load.result(monitor, slot, dice);
    let (payload, reason) = match dice.roll(4) {
        0 => {
            let mut later = serde_json::to_value(&message).unwrap();
            later["result"]["of_a_later_version"] = json!(true);
            (later.to_string().into_bytes(), "malformed")
        }
        1 => (b"\xff{ not JSON".to_vec(), "malformed"),
        2 => {
            message.monitor_id = MonitorId(Uuid::now_v7());
            (serde_json::to_vec(&message).unwrap(), "unknown_monitor")
        }
        _ => {
            message.organization_id = OrganizationId(Uuid::now_v7());
            (serde_json::to_vec(&message).unwrap(), "organization_mismatch")
        }
    };
    (load.produce_bytes(&monitor.to_string(), &payload).await, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_at_fault_are_set_aside_with_reason_and_origin_and_their_batch_is_unharmed() {
    let corner = corner().await;
    prepare(&corner).await;
    let load = Load::new(&corner, 12).await;
    let (slots, pace) = (short_or_long(80, 4_000), Duration::from_millis(5));
    let (mut dice, mut other_dice) = (Dice(0x5EED_0006), Dice(0x5EED_0007));
    // Before anybody reads, so that they come in batches.
    let (sent, poisoned) = tokio::join!(load.send(slots, pace, &mut dice), async {
        let mut poisoned = Letters::new();
        for _ in 0..short_or_long(40, 2_000) {
            let (place, reason) = poison(&load, &mut other_dice).await;
            poisoned.insert(place, reason);
        }
        poisoned
    });
    let recorder = corner.role("recorder").await.until_ready().await;
    until_taken_in(&corner, RECORDER).await;
    assert!(recorder.stop().await.success());

    let store = corner.store().await;
    let letters: Vec<(String, i32, i64, String)> =
        sqlx::query_as("select topic, partition, \"offset\", reason from dead_letters")
            .fetch_all(&store.read)
            .await
            .unwrap();
    let results = corner.kafka().topics.results();
    assert!(letters.iter().all(|(topic, ..)| *topic == results), "{letters:?}");
    let letters: Letters = letters
        .into_iter()
        .map(|(_, partition, offset, reason)| ((partition, offset), reason))
        .collect();
    assert_eq!(letters, poisoned);
    assert_eq!(faults(&store, &sent).await, []);
    // The positive control: a neighbour that is missing is missed.
    let missing = CheckId(Uuid::now_v7());
    let with_it: HashSet<CheckId> = sent.iter().copied().chain([missing]).collect();
    assert_eq!(faults(&store, &with_it).await, [Fault::Lost(missing)]);
}
