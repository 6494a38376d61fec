//! Results of many monitors as a wild cluster delivers them: late, twice, and by way of two recorders.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use pulsetrail_domain::check::{Failure, FailureCause, Outcome};
use pulsetrail_domain::monitor::{MonitorCommand, MonitorConfig, MonitorRequest};
use pulsetrail_domain::slot::scheduled_check_id;
use pulsetrail_domain::{CheckId, MonitorId, OrganizationId, Region, timestamp_from_millis};
use pulsetrail_harness::{Corner, Dice, within};
use pulsetrail_infra::kafka::{Kafka, message_headers};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use pulsetrail_infra::store::{MonitorCommands, MonitorFailure};
use pulsetrail_infra::supervised::Supervisor;
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;
use uuid::Uuid;

use super::SETTLING;
use crate::recording::{first_slot_ms, result_of};

const INTERVAL_SECONDS: i64 = 10;
/// Partitions of the topic of results.
const PARTITIONS: u64 = 12;

/// Some monitors of one organization, whose results the test sends in place of a prober.
pub(crate) struct Load {
    pub(crate) organization: OrganizationId,
    pub(crate) monitors: Vec<MonitorId>,
    commands: MonitorCommands,
    kafka: Kafka,
    producer: FutureProducer,
}

/// A message that is sent when as many slots have begun.
struct Delivery {
    when: i64,
    message: ResultMessage,
    /// A partition of its own, as after a hand-over; none for the monitor's.
    partition: Option<i32>,
}

impl Load {
    /// Registers as many monitors.
    pub(crate) async fn new(corner: &Corner, monitors: usize) -> Self {
        let load = Self::unregistered(corner, monitors).await;
        load.register().await;
        load
    }

    /// As many monitors that are not registered yet.
    pub(crate) async fn unregistered(corner: &Corner, monitors: usize) -> Self {
        let store = corner.store().await;
        let kafka = corner.kafka();
        Self {
            organization: OrganizationId(Uuid::now_v7()),
            monitors: (0..monitors).map(|_| MonitorId(Uuid::now_v7())).collect(),
            commands: MonitorCommands::new(store, &Supervisor::default()),
            producer: kafka.producer().unwrap(),
            kafka,
        }
    }

    /// Registers the monitors.
    pub(crate) async fn register(&self) {
        for monitor in &self.monitors {
            let command = MonitorCommand::Register {
                monitor_id: *monitor,
                organization_id: self.organization,
                config: Box::new(config(1)),
            };
            self.command(*monitor, command).await.unwrap();
        }
    }

    /// Asks for something; what comes back is its acknowledgement.
    pub(crate) async fn command(
        &self,
        monitor: MonitorId,
        command: MonitorCommand,
    ) -> Result<(), MonitorFailure> {
        let request = MonitorRequest { expected_version: None, command };
        let done = self.commands.execute(self.organization, monitor, request, Default::default());
        done.await.map(|_| ())
    }

    /// Pauses, resumes or reconfigures one of the monitors.
    pub(crate) async fn interfere(&self, dice: &mut Dice) {
        let monitor = *dice.pick(&self.monitors).unwrap();
        let command = match dice.roll(3) {
            0 => MonitorCommand::Pause,
            1 => MonitorCommand::Resume,
            _ => {
                let confirmations = 1 + u32::try_from(dice.roll(3)).unwrap();
                MonitorCommand::Reconfigure { config: Box::new(config(confirmations)) }
            }
        };
        match self.command(monitor, command).await {
            Ok(()) | Err(MonitorFailure::Contended) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends the results of as many slots, each `pace` after the one before, and returns the checks
    /// whose results Kafka has acknowledged. One in eight comes late, by up to 100 slots, and one in
    /// four a second time, on any partition.
    pub(crate) async fn send(
        &self,
        slots: i64,
        pace: Duration,
        dice: &mut Dice,
    ) -> HashSet<CheckId> {
        let mut clock = tokio::time::interval(pace);
        let mut sent = Vec::new();
        let mut deliveries = self.deliveries(slots, dice).into_iter().peekable();
        for slot in 0.. {
            clock.tick().await;
            while let Some(delivery) = deliveries.next_if(|delivery| delivery.when <= slot) {
                let check = delivery.message.result.check_id;
                sent.push((check, self.produce(&delivery)));
            }
            if deliveries.peek().is_none() {
                break;
            }
        }
        let mut acknowledged = HashSet::new();
        for (check, delivery) in sent {
            if delivery.await.is_ok_and(|delivered| delivered.is_ok()) {
                acknowledged.insert(check);
            }
        }
        acknowledged
    }

    /// The checks of the first slots.
    pub(crate) fn checks(&self, slots: i64) -> HashSet<CheckId> {
        let slots = (0..slots).flat_map(|slot| self.monitors.iter().map(move |one| (*one, slot)));
        slots
            .map(|(monitor, slot)| scheduled_check_id(monitor, &Region::default(), slot_ms(slot)))
            .collect()
    }

    fn deliveries(&self, slots: i64, dice: &mut Dice) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for slot in 0..slots {
            for monitor in &self.monitors {
                let message = self.result(*monitor, slot, dice);
                let mut late = || match dice.roll(8) {
                    0 => i64::try_from(dice.roll(100)).unwrap(),
                    _ => 0,
                };
                let (when, again) = (slot + late(), slot + late());
                deliveries.push(Delivery { when, message: message.clone(), partition: None });
                if dice.roll(4) == 0 {
                    let partition = i32::try_from(dice.roll(PARTITIONS)).unwrap();
                    deliveries.push(Delivery { when: again, message, partition: Some(partition) });
                }
            }
        }
        deliveries.sort_by_key(|delivery| delivery.when);
        deliveries
    }

    /// A result of a monitor. Two in five fail.
    pub(crate) fn result(&self, monitor: MonitorId, slot: i64, dice: &mut Dice) -> ResultMessage {
        let mut message = result_of(monitor, self.organization, slot_ms(slot));
        if dice.roll(5) < 2 {
            message.result.outcome = Outcome::Down;
            message.result.http_status = None;
            message.result.failure = Some(Failure {
                cause: FailureCause::ConnectRefused,
                detail: "nobody listens".to_owned(),
            });
        }
        message.result.valid_for_ms = config(1).valid_for_ms();
        message
    }

    /// Sends one result.
    pub(crate) async fn produce_result(&self, message: &ResultMessage) {
        let payload = serde_json::to_vec(message).unwrap();
        self.produce_bytes(&message.monitor_id.to_string(), &payload).await;
    }

    /// Sends whatever it is, and returns the partition and the offset that it has.
    pub(crate) async fn produce_bytes(&self, key: &str, payload: &[u8]) -> (i32, i64) {
        let delivered = self.hand_over(key, payload, None).await.unwrap();
        let delivered = delivered.map_err(|(error, _)| error).unwrap();
        (delivered.partition, delivered.offset)
    }

    fn produce(&self, delivery: &Delivery) -> DeliveryFuture {
        let payload = serde_json::to_vec(&delivery.message).unwrap();
        self.hand_over(&delivery.message.monitor_id.to_string(), &payload, delivery.partition)
    }

    fn hand_over(&self, key: &str, payload: &[u8], partition: Option<i32>) -> DeliveryFuture {
        let (id, at) = (Uuid::now_v7().to_string(), timestamp_from_millis(first_slot_ms()));
        let headers = message_headers(RESULT_TYPE, &id, at, self.organization);
        let topic = self.kafka.topics.results();
        let record = FutureRecord::to(&topic).key(key).payload(payload).headers(headers);
        let record = match partition {
            Some(partition) => record.partition(partition),
            None => record,
        };
        self.producer.send_result(record).map_err(|(error, _)| error).unwrap()
    }
}

fn slot_ms(slot: i64) -> i64 {
    first_slot_ms() + slot * INTERVAL_SECONDS * 1_000
}

fn config(confirmations: u32) -> MonitorConfig {
    let config = json!({
        "name": "watched", "target": {"type": "http", "url": "http://192.0.2.1/"},
        "interval_seconds": INTERVAL_SECONDS, "timeout_ms": 1_000, "retries": {},
        "confirmations": confirmations, "regions": ["default"], "tags": {},
    });
    serde_json::from_value(config).unwrap()
}

/// Waits until the group of recorders has taken in every result that there is.
pub(crate) async fn until_taken_in(corner: &Corner, group: &str) {
    let kafka = corner.kafka();
    let topic = kafka.topics.results();
    let asker = Arc::new(kafka.group_consumer(group).unwrap());
    within(SETTLING, "every result is taken in", async || {
        let (asker, topic) = (asker.clone(), topic.clone());
        // The calls block.
        let taken_in = tokio::task::spawn_blocking(move || {
            let patience = Duration::from_secs(5);
            let mut places = TopicPartitionList::new();
            places.add_partition_range(&topic, 0, i32::try_from(PARTITIONS).unwrap() - 1);
            let committed = asker.committed_offsets(places, patience).ok()?;
            let behind = committed.elements().iter().any(|place| {
                let ends = asker.fetch_watermarks(&topic, place.partition(), patience);
                let Ok((_, end)) = ends else { return true };
                match place.offset() {
                    Offset::Offset(offset) => offset < end,
                    _ => end > 0,
                }
            });
            (!behind).then_some(())
        });
        taken_in.await.unwrap()
    })
    .await;
}
