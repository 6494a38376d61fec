//! What stands in a log, slot by slot, and what came in through Kafka.

use std::collections::{BTreeMap, HashMap, HashSet};

use pulsetrail_commands::recorder::RECORDER;
use pulsetrail_domain::health::{Health, HealthCommand, HealthEvent, ObservationPolicy};
use pulsetrail_domain::{MonitorId, Position, Region};
use pulsetrail_harness::Corner;
use pulsetrail_infra::kafka::{attribute, payload_of};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use pulsetrail_infra::store::{Store, read_after};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::timeout;

use super::super::SETTLING;
use super::super::load::until_taken_in;

/// The recorded slots of each monitor, in ms, as often as they were recorded.
#[derive(Default)]
pub(super) struct Log {
    slots: HashMap<MonitorId, Vec<i64>>,
    read: Position,
}

impl Log {
    /// Reads what was recorded since the last time.
    pub(super) async fn read_on(&mut self, store: &Store) {
        loop {
            let page = read_after(&store.read, self.read, 1_000).await.unwrap();
            let Some(last) = page.last() else { return };
            self.read = last.position;
            for event in page.iter().filter(|event| event.event_type == "CheckCompleted") {
                let HealthEvent::CheckCompleted(result) = event.health_event().unwrap() else {
                    continue;
                };
                self.note(event.monitor_id().unwrap(), result.slot_ms());
            }
        }
    }

    fn note(&mut self, monitor: MonitorId, slot_ms: i64) {
        self.slots.entry(monitor).or_default().push(slot_ms);
    }

    /// The slots of a monitor, ascending.
    pub(super) fn slots(&self, monitor: MonitorId) -> Vec<i64> {
        let mut slots = self.slots.get(&monitor).cloned().unwrap_or_default();
        slots.sort_unstable();
        slots
    }

    /// The newest slot of a monitor; before all of them where it has none.
    pub(super) fn newest(&self, monitor: MonitorId) -> i64 {
        self.slots.get(&monitor).and_then(|slots| slots.iter().max().copied()).unwrap_or(i64::MIN)
    }

    /// The slots that were recorded more than once.
    pub(super) fn twice(&self) -> Vec<(MonitorId, i64)> {
        let of_one = |(monitor, slots): (&MonitorId, &Vec<i64>)| {
            let mut seen = HashSet::new();
            let again = slots.iter().filter(|slot| !seen.insert(**slot));
            again.map(|slot| (*monitor, *slot)).collect::<Vec<_>>()
        };
        self.slots.iter().flat_map(of_one).collect()
    }

    /// Where the next slot of a monitor is more than `most_ms` later: since when, and for how long.
    pub(super) fn gaps(&self, most_ms: i64) -> Vec<(MonitorId, i64, i64)> {
        let of_one = |monitor: &MonitorId| {
            let slots = self.slots(*monitor);
            let pairs = slots.windows(2).map(|pair| (*monitor, pair[0], pair[1] - pair[0]));
            pairs.filter(|(.., gap)| *gap > most_ms).collect::<Vec<_>>()
        };
        self.slots.keys().flat_map(of_one).collect()
    }

    /// Leaves out what was recorded of a monitor for so long after its first slot.
    pub(super) fn forget(&mut self, monitor: MonitorId, length_ms: i64) {
        let first = self.slots(monitor)[0];
        let kept = |slot: &i64| *slot == first || *slot > first + length_ms;
        self.slots.entry(monitor).or_default().retain(kept);
    }
}

/// Every result that was reported, in the order of its partition.
pub(super) struct Results(Vec<ResultMessage>);

impl Results {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many came for a check that had reported before: jobs that were made twice.
    pub(super) fn duplicates(&self) -> usize {
        let checks: HashSet<_> = self.0.iter().map(|message| message.result.check_id).collect();
        self.0.len() - checks.len()
    }

    /// The same, were each delivered once more.
    pub(super) fn delivered_twice(&self) -> Self {
        Self(self.0.iter().flat_map(|message| [message.clone(), message.clone()]).collect())
    }
}

/// Waits until the recorders took in what there is, and reads it all.
pub(super) async fn results_of(corner: &Corner) -> Results {
    until_taken_in(corner, RECORDER).await;
    let kafka = corner.kafka();
    let (topic, consumer) = (kafka.topics.results(), kafka.lone_consumer().unwrap());
    let mut ends = BTreeMap::new();
    let mut places = TopicPartitionList::new();
    for partition in 0..12 {
        let (begin, end) = consumer.fetch_watermarks(&topic, partition, SETTLING).unwrap();
        if begin < end {
            places.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
            ends.insert(partition, end);
        }
    }
    consumer.assign(&places).unwrap();
    let mut results = Vec::new();
    while !ends.is_empty() {
        let message = timeout(SETTLING, consumer.recv()).await.expect("there is more").unwrap();
        use rdkafka::Message as _;
        if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            ends.remove(&message.partition());
        }
        if attribute(&message, "ce_type").is_ok_and(|kind| kind == RESULT_TYPE) {
            results.push(payload_of(&message).unwrap());
        }
    }
    Results(results)
}

/// The log of a recorder that remembers no slot: its state loses them before each decision.
pub(super) fn without_memory(results: &Results) -> Log {
    let policy = ObservationPolicy {
        monitor_version: 1,
        confirmations: 1,
        regions: vec![Region::default()],
        quorum: 1,
        paused: false,
        archived: false,
        heartbeat: None,
    };
    let mut healths: HashMap<MonitorId, Health> = HashMap::new();
    let mut log = Log::default();
    for message in &results.0 {
        let health = healths.entry(message.monitor_id).or_default();
        let mut state = serde_json::to_value(&*health).unwrap();
        for region in state["regions"].as_object_mut().unwrap().values_mut() {
            region["slots"] = serde_json::json!([]);
        }
        *health = serde_json::from_value(state).unwrap();
        let command = HealthCommand::RecordCheck {
            result: Box::new(message.result.clone()),
            policy: policy.clone(),
            known_to_be_new: false,
        };
        for event in health.decide(&command).unwrap_or_default() {
            health.apply_event(&event);
            if let HealthEvent::CheckCompleted(result) = event {
                log.note(message.monitor_id, result.slot_ms());
            }
        }
    }
    log
}
