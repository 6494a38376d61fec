//! What a recorder must not be: one that commits its offsets before its transaction, or that asks the
//! store about nothing.

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::health::{Health, HealthCommand, ObservationPolicy};
use pulsetrail_domain::monitor::Monitor;
use pulsetrail_harness::Corner;
use pulsetrail_infra::kafka::payload_of;
use pulsetrail_infra::messages::ResultMessage;
use pulsetrail_infra::store::{Append, NewEvent, Store, StoreError, append_batch, read_aggregate};
use rdkafka::consumer::{CommitMode, Consumer as _};

/// Records as many results, each in the right way, and dies between the two steps of the last. Where it
/// is hasty, it says that it has before it has.
pub(crate) async fn record_alone(corner: &Corner, hasty: bool, life: u64) {
    let (store, kafka) = (corner.store().await, corner.kafka());
    let consumer = kafka.group_consumer(RECORDER).unwrap();
    consumer.subscribe(&[&kafka.topics.results()]).unwrap();
    let mut left = life;
    while left > 0 {
        let Ok(message) = consumer.recv().await else { continue };
        left -= 1;
        let result = payload_of(&message).unwrap();
        let dies = left == 0;
        if hasty {
            // At its death it is sure to have said so.
            let mode = if dies { CommitMode::Sync } else { CommitMode::Async };
            consumer.commit_message(&message, mode).unwrap();
        }
        if !(hasty && dies) {
            record(&store, result, false).await;
        }
        if !hasty && !dies {
            consumer.commit_message(&message, CommitMode::Async).unwrap();
        }
    }
}

/// Records one result. With `known_to_be_new` it takes for granted that the store does not have it.
pub(crate) async fn record(store: &Store, message: ResultMessage, known_to_be_new: bool) {
    try_to_record(store, message, known_to_be_new).await.unwrap();
}

/// As [`record`], once.
pub(crate) async fn try_to_record(
    store: &Store,
    message: ResultMessage,
    known_to_be_new: bool,
) -> Result<(), StoreError> {
    let id = message.monitor_id.to_string();
    let (mut monitor, mut health) = (Monitor::default(), Health::default());
    for stored in read_aggregate(&store.read, Monitor::AGGREGATE, &id, 0, 1_000).await? {
        monitor.apply_event(stored.event.monitor_event().unwrap());
    }
    for stored in read_aggregate(&store.read, Health::AGGREGATE, &id, 0, 10_000).await? {
        health.apply_event(&stored.event.health_event().unwrap());
    }
    let command = HealthCommand::RecordCheck {
        result: Box::new(message.result),
        policy: ObservationPolicy::of(&monitor).unwrap(),
        known_to_be_new,
    };
    let Ok(events) = health.decide(&command) else { return Ok(()) };
    let events = events.iter().map(|event| NewEvent::health(message.monitor_id, event).unwrap());
    let append = Append {
        aggregate_type: Health::AGGREGATE,
        aggregate_id: id,
        organization_id: message.organization_id,
        expected: Some(health.version),
        guard: None,
        events: events.collect(),
    };
    append_batch(&store.write, &[append]).await.map(|_| ())
}
