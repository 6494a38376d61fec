//! A dead letter that is tried again when newer results have pushed its slot out of memory.

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_harness::{Dice, within};
use pulsetrail_infra::dead_letters::{Scope, retry};
use pulsetrail_infra::messages::ResultMessage;
use uuid::Uuid;

use super::hasty::record;
use super::judge::{Fault, faults};
use super::load::{Load, until_taken_in};
use super::{SETTLING, prepare, short_or_long};
use crate::corner;

/// More than are remembered.
const LATER: i64 = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_is_counted_once_however_often_it_is_retried_after_its_slot_was_forgotten() {
    let corner = corner().await;
    prepare(&corner).await;
    let (store, kafka) = (corner.store().await, corner.kafka());
    let load = Load::unregistered(&corner, short_or_long(3, 30)).await;
    let recorder = corner.role("recorder").await.until_ready().await;
    let early = short_or_long(2, 10);
    let mut dice = Dice(0x5EED_0008);
    // They come before their monitors.
    let messages: Vec<ResultMessage> = (0..early)
        .flat_map(|slot| load.monitors.iter().map(move |monitor| (*monitor, slot)))
        .map(|(monitor, slot)| load.result(monitor, slot, &mut dice))
        .collect();
    for message in &messages {
        load.produce_result(message).await;
    }
    let letters: Vec<Uuid> = within(SETTLING, "each is set aside", async || {
        let letters: Vec<Uuid> = sqlx::query_scalar(
            "select dead_letter_id from dead_letters where reason = 'unknown_monitor'",
        )
        .fetch_all(&store.read)
        .await
        .unwrap();
        (letters.len() == messages.len()).then_some(letters)
    })
    .await;

    load.register().await;
    for slot in early..early + LATER {
        for monitor in &load.monitors {
            load.produce_result(&load.result(*monitor, slot, &mut dice)).await;
        }
    }
    until_taken_in(&corner, RECORDER).await;
    let producer = kafka.producer().unwrap();
    for _ in 0..3 {
        for letter in &letters {
            retry(&store, &kafka, &producer, Scope::Everything, *letter, "a test").await.unwrap();
        }
    }
    until_taken_in(&corner, RECORDER).await;
    assert!(recorder.stop().await.success());
    let sent = load.checks(early + LATER);
    assert_eq!(faults(&store, &sent).await, []);

    // The positive control: a recorder that does not look into the store counts it again.
    let again = messages[0].result.check_id;
    record(&store, messages[0].clone(), true).await;
    assert_eq!(faults(&store, &sent).await, [Fault::Twice(again)]);
}
