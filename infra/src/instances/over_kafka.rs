//! Announcing over Kafka, for probers, and hearing them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::{OrganizationId, Region, timestamp_from_millis};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ALIVE, EVERY, Instance, LiveInstance, WINDOW};
use crate::kafka::{Kafka, METADATA_TIMEOUT, message_headers, payload_of};
use crate::vitals::StageWindow;

/// The `ce_type` of an announcement.
const ANNOUNCEMENT_TYPE: &str = "pulsetrail.prober";
/// How many of the newest announcements a server reads when it begins.
const READ_BACK: i64 = 500;
/// How long Kafka is left alone after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// What a prober says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Announcement {
    #[serde(flatten)]
    instance: Instance,
    /// Whether it is the last.
    gone: bool,
}

/// Announces a prober until `shutdown`, and then that it is gone.
///
/// # Errors
/// When librdkafka refuses a setting.
pub async fn announce_prober(
    kafka: &Kafka,
    instance: Instance,
    is_ready: impl Fn() -> bool,
    shutdown: &CancellationToken,
) -> Result<(), KafkaError> {
    let producer = kafka.prompt_producer()?;
    let topic = kafka.topics.probers();
    let mut window = StageWindow::of(WINDOW);
    let mut clock = interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = clock.tick() => {}
        }
        let renewed = instance.renewed(&mut window, is_ready());
        say(&producer, &topic, Announcement { instance: renewed, gone: false }).await;
    }
    say(&producer, &topic, Announcement { instance, gone: true }).await;
    Ok(())
}

async fn say(producer: &FutureProducer, topic: &str, announcement: Announcement) {
    let id = announcement.instance.instance_id.to_string();
    let nobody = OrganizationId::default();
    let headers = message_headers(ANNOUNCEMENT_TYPE, &id, Utc::now(), nobody);
    let Ok(payload) = serde_json::to_vec(&announcement) else { return };
    let record = FutureRecord::to(topic).key(&id).payload(&payload).headers(headers);
    let sent = producer.send(record, Timeout::After(EVERY));
    // The next one says more than this one said again.
    if let Ok(Err((error, _))) = tokio::time::timeout(EVERY, sent).await {
        tracing::debug!(%error, "a prober could not announce itself");
    }
}

/// The probers that were heard of a moment ago. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LiveProbers {
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    probers: HashMap<Uuid, (LiveInstance, Instant)>,
    /// Since when silence means something: none while nobody listens or Kafka is away.
    listening_since: Option<Instant>,
}

impl LiveProbers {
    /// Listens to the probers until `shutdown`.
    pub async fn listen(&self, kafka: &Kafka, shutdown: &CancellationToken) {
        let listening = async {
            loop {
                let Err(error) = self.listen_until_error(kafka).await;
                tracing::debug!(%error, "probers cannot be heard for now");
                self.heard().listening_since = None;
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = listening => {}
        }
    }

    /// The probers that are alive.
    #[must_use]
    pub fn alive(&self) -> Vec<LiveInstance> {
        let heard = self.heard();
        let alive = heard.probers.values().filter(|(_, at)| at.elapsed() < ALIVE);
        let mut alive: Vec<LiveInstance> = alive.map(|(instance, _)| instance.clone()).collect();
        alive.sort_by_key(|alive| alive.instance.instance_id);
        alive
    }

    /// Which of `regions` no prober was heard from; none as long as that cannot be known.
    #[must_use]
    pub fn missing_in(&self, regions: &[Region]) -> Vec<Region> {
        let heard = self.heard();
        if heard.listening_since.is_none_or(|since| since.elapsed() < ALIVE) {
            return Vec::new();
        }
        let is_alive = |region: &&Region| {
            heard.probers.values().any(|(prober, at)| {
                prober.instance.region.as_ref() == Some(region) && at.elapsed() < ALIVE
            })
        };
        regions.iter().filter(|region| !is_alive(region)).cloned().collect()
    }

    async fn listen_until_error(&self, kafka: &Kafka) -> Result<Infallible, KafkaError> {
        let consumer = subscribe(kafka).await?;
        self.heard().listening_since = Some(Instant::now());
        loop {
            let message = consumer.recv().await?;
            let sent_ms = message.timestamp().to_millis().unwrap_or_default();
            // What this version cannot read was said by another one, and is said again.
            if let Ok(announcement) = payload_of::<Announcement>(&message) {
                self.hear(announcement, sent_ms);
            }
        }
    }

    fn hear(&self, Announcement { instance, gone }: Announcement, sent_ms: i64) {
        let age_ms = Utc::now().timestamp_millis() - sent_ms;
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or_default());
        let mut heard = self.heard();
        heard.probers.retain(|_, (_, at)| at.elapsed() < ALIVE);
        if gone {
            heard.probers.remove(&instance.instance_id);
        } else if age < ALIVE {
            let seen_at = timestamp_from_millis(sent_ms);
            let id = instance.instance_id;
            let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
            heard.probers.insert(id, (LiveInstance { instance, seen_at }, since));
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer that begins a little before the end.
async fn subscribe(kafka: &Kafka) -> Result<StreamConsumer, KafkaError> {
    let (consumer, topic) = (kafka.lone_consumer()?, kafka.topics.probers());
    // The call blocks: not on a thread that others wait for.
    let subscribed = tokio::task::spawn_blocking(move || {
        let (low, high) = consumer.fetch_watermarks(&topic, 0, METADATA_TIMEOUT)?;
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&topic, 0, Offset::Offset(low.max(high - READ_BACK)))?;
        consumer.assign(&place)?;
        Ok(consumer)
    });
    // The task is never aborted, and a panic in it is a defect of the client library.
    subscribed.await.map_err(|_| KafkaError::Canceled)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(region: &str, gone: bool) -> Announcement {
        let mut instance = Instance::new("prober", region.parse().ok());
        instance.instance_id = Uuid::from_u128(7);
        Announcement { instance, gone }
    }

    fn regions() -> [Region; 2] {
        ["eu", "us"].map(|name| name.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_is_without_a_prober_when_none_was_heard_for_a_while() {
        let probers = LiveProbers::default();
        assert!(probers.missing_in(&regions()).is_empty(), "nobody listens");
        probers.heard().listening_since = Some(Instant::now());
        assert!(probers.missing_in(&regions()).is_empty(), "it is too early to tell");
        tokio::time::advance(ALIVE).await;
        assert_eq!(probers.missing_in(&regions()), regions());
        probers.hear(announcement("eu", false), Utc::now().timestamp_millis());
        assert_eq!(probers.missing_in(&regions()), regions()[1..]);
        assert_eq!(probers.alive().len(), 1);
        tokio::time::advance(ALIVE).await;
        assert_eq!(probers.missing_in(&regions()), regions());
        assert!(probers.alive().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_goodbye_or_spoke_long_ago_is_not_alive() {
        let probers = LiveProbers::default();
        probers.hear(announcement("eu", false), Utc::now().timestamp_millis());
        probers.hear(announcement("eu", true), Utc::now().timestamp_millis());
        assert!(probers.alive().is_empty());
        probers.hear(announcement("eu", false), Utc::now().timestamp_millis() - 60_000);
        assert!(probers.alive().is_empty());
    }
}
