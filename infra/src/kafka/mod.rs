//! Kafka: topics, clients with the settings that the invariants need, and CloudEvents headers.

mod brokers;
mod cloud_event;
mod lag;
mod session;
mod topics;

use std::time::Duration;

use futures_util::FutureExt;
use rdkafka::ClientConfig;
use rdkafka::consumer::{ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::FutureProducer;

pub use brokers::Brokers;
pub use cloud_event::{
    MalformedMessage, attribute, event_from_message, event_headers, message_headers, payload_of,
    trace_of, traced,
};
pub use lag::{PartitionLag, QueueLag};
pub use topics::Topics;

/// How to reach a Kafka cluster, and where on it this installation's topics are.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Where the cluster is.
    pub brokers: Brokers,
    /// The names of the topics.
    pub topics: Topics,
}

/// How long a client asks the cluster for metadata before it gives up.
pub const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

impl Kafka {
    /// The cluster at `brokers`, see [`Brokers`], with topics named after `topic_prefix`.
    #[must_use]
    pub fn new(brokers: impl Into<Brokers>, topic_prefix: &str) -> Self {
        Self { brokers: brokers.into(), topics: Topics::new(topic_prefix) }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = self.brokers.client_config();
        config
            .set("client.id", "pulsetrail")
            // Small messages must not wait for the acknowledgement of the ones before.
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "400")
            // A topic that appears late is noticed soon.
            .set("topic.metadata.refresh.interval.ms", "5000")
            // What the clients say is said again, with its context, where it is handled.
            .set("log.connection.close", "false");
        config
    }

    /// A producer that keeps the order and writes each message once, also when it has to try again.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn producer(&self) -> Result<FutureProducer, KafkaError> {
        self.producer_config().create()
    }

    /// The same for one that hands over what belongs together at once, and so need not wait for more.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn prompt_producer(&self) -> Result<FutureProducer, KafkaError> {
        self.producer_config().set("linger.ms", "0").create()
    }

    /// As [`Kafka::producer`], for messages that need not be there sooner than in a fiftieth of a second:
    /// more of them travel together.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn calm_producer(&self) -> Result<FutureProducer, KafkaError> {
        self.producer_config().set("linger.ms", "20").create()
    }

    fn producer_config(&self) -> ClientConfig {
        let mut config = self.config();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // What is sent in the same moment travels together: each request costs both sides more than
            // what is in it.
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("message.timeout.ms", "30000")
            .set("queue.buffering.max.messages", "200000");
        config
    }

    /// A consumer of a group. It commits only what its owner stores, when its owner says so.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn group_consumer(&self, group: &str) -> Result<StreamConsumer, KafkaError> {
        self.group_config(group).create()
    }

    /// The settings of [`Kafka::group_consumer`], for a consumer with a context of its own.
    #[must_use]
    pub fn group_config(&self, group: &str) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", format!("{}.{group}", self.topics.prefix()))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // The shortest that every cluster lets members have; see `prompt_group_config`.
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1000")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("fetch.wait.max.ms", "100")
            .set("queued.min.messages", "10000");
        config
    }

    /// As [`Kafka::group_config`], for a member that need not have a message sooner than in a fiftieth of a
    /// second: the broker answers so often, or as soon as there is much, and not for every message.
    #[must_use]
    pub fn calm_group_config(&self, group: &str) -> ClientConfig {
        let mut config = self.group_config(group);
        config.set("fetch.wait.max.ms", "20").set("fetch.min.bytes", "65536");
        config
    }

    /// A consumer without a group, for one who keeps its own place.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn lone_consumer(&self) -> Result<StreamConsumer, KafkaError> {
        self.lone_config().create()
    }

    /// The same for one that need not have a message sooner than in a tenth of a second: the broker
    /// answers so often, or as soon as there is much, and not for every message.
    ///
    /// # Errors
    /// When librdkafka refuses a setting.
    pub fn calm_consumer(&self) -> Result<StreamConsumer, KafkaError> {
        self.lone_config().set("fetch.min.bytes", "262144").create()
    }

    fn lone_config(&self) -> ClientConfig {
        let mut config = self.config();
        config
            // librdkafka wants a name although nothing is committed under it.
            .set("group.id", format!("{}.follower", self.topics.prefix()))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .set("fetch.wait.max.ms", "100");
        config
    }
}

/// How many errors are passed over at once.
const ERRORS: usize = 10_000;

/// Takes the next message. While the cluster is away librdkafka queues one error after the other, many
/// more than anybody asks for who waits after each of them. What queued up behind an error is therefore
/// passed over, up to the next message or to an error that time does not mend: so whoever waits and asks
/// again is not kept from the messages that come when the cluster is back. Dropping the future loses
/// nothing.
///
/// # Errors
/// The last error before the queue was empty.
pub async fn receive<C: ConsumerContext + 'static>(
    consumer: &StreamConsumer<C>,
) -> Result<BorrowedMessage<'_>, KafkaError> {
    let mut received = consumer.recv().await;
    for _ in 0..ERRORS {
        if received.as_ref().err().is_none_or(|error| !is_passing(error)) {
            break;
        }
        match consumer.recv().now_or_never() {
            Some(later) => received = later,
            None => break,
        }
    }
    received
}

/// Whether an error says that the cluster is away or changing, which time mends, and not that a
/// message or a setting is at fault.
#[must_use]
pub fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::InvalidMessage
                | Code::InvalidRecord
                | Code::Fatal
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
        )
    )
}
