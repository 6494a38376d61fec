//! Producing to Kafka through outages: a producer that is replaced when it is past use.

use std::sync::{Mutex, PoisonError};

use pulsetrail_infra::kafka::Kafka;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

/// One message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) payload: String,
    pub(crate) headers: OwnedHeaders,
    /// When it was written, in ms since the epoch, however often it is sent.
    pub(crate) written_ms: i64,
}

/// Where messages are sent from.
pub(crate) struct Outbox {
    kafka: Kafka,
    make: MakeProducer,
    producer: Mutex<FutureProducer>,
}

/// How a producer is made.
type MakeProducer = fn(&Kafka) -> Result<FutureProducer, KafkaError>;

impl Outbox {
    /// # Errors
    /// When librdkafka refuses a setting.
    pub(crate) fn new(kafka: &Kafka, make: MakeProducer) -> Result<Self, KafkaError> {
        Ok(Self { kafka: kafka.clone(), make, producer: Mutex::new(make(kafka)?) })
    }

    /// Queues a message; what it returns ends when the cluster has acknowledged it.
    ///
    /// # Errors
    /// When the message was not even queued, as when the queue is full.
    pub(crate) fn send(&self, letter: &Letter) -> Result<DeliveryFuture, KafkaError> {
        let record = FutureRecord::to(&letter.topic)
            .key(&letter.key)
            .payload(&letter.payload)
            .timestamp(letter.written_ms)
            .headers(letter.headers.clone());
        let producer = self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        producer.send_result(record).map_err(|(error, _)| error)
    }

    /// Sends a message and waits until it is acknowledged.
    ///
    /// # Errors
    /// When it was not acknowledged in the time that the producer gives it; it may have arrived.
    pub(crate) async fn deliver(&self, letter: &Letter) -> Result<(), KafkaError> {
        acknowledged(self.send(letter)?).await
    }

    /// Whether an error says that its producer can send no more, although another could.
    pub(crate) fn is_fatal(error: &KafkaError) -> bool {
        error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
    }

    /// Takes a new producer where an error says that the old one can send no more.
    pub(crate) fn renew_after(&self, error: &KafkaError) {
        if !Self::is_fatal(error) {
            return;
        }
        match (self.make)(&self.kafka) {
            Ok(producer) => {
                *self.producer.lock().unwrap_or_else(PoisonError::into_inner) = producer;
            }
            Err(error) => tracing::error!(%error, "no new producer can be made"),
        }
    }
}

/// Ends when a queued message is acknowledged.
///
/// # Errors
/// When it was not, in the time that the producer gives it.
pub(crate) async fn acknowledged(delivery: DeliveryFuture) -> Result<(), KafkaError> {
    match delivery.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_producer_is_gone) => Err(KafkaError::Canceled),
    }
}
