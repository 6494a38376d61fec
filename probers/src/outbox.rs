//! Producing to Kafka through outages: a producer that failed permanently is replaced.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pulsetrail_infra::kafka::Kafka;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use tokio::task::spawn_blocking;

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
    current: Mutex<Current>,
    /// Held while a new producer is made, so that only one is.
    renewing: tokio::sync::Mutex<()>,
}

/// How a producer is made.
type MakeProducer = fn(&Kafka) -> Result<FutureProducer, KafkaError>;

/// The producer that is in use, and how many there were before it.
#[derive(Clone)]
struct Current {
    producer: FutureProducer,
    number: u64,
}

impl Outbox {
    /// # Errors
    /// When librdkafka refuses a setting.
    pub(crate) fn new(kafka: &Kafka, make: MakeProducer) -> Result<Self, KafkaError> {
        let current = Mutex::new(Current { producer: make(kafka)?, number: 0 });
        Ok(Self { kafka: kafka.clone(), make, current, renewing: tokio::sync::Mutex::default() })
    }

    /// Queues a message; what it returns ends when the cluster has acknowledged it.
    ///
    /// # Errors
    /// When the message was not even queued, as when the queue is full.
    pub(crate) fn send(&self, letter: &Letter) -> Result<DeliveryFuture, KafkaError> {
        let current = self.current().clone();
        current.send(letter)
    }

    /// Sends a message and waits until it is acknowledged. If the producer failed permanently, the next
    /// message has a new one.
    ///
    /// # Errors
    /// When it was not acknowledged in the time that the producer gives it; it may have arrived.
    pub(crate) async fn deliver(&self, letter: &Letter) -> Result<(), KafkaError> {
        let current = self.current().clone();
        let number = current.number;
        let delivered = match current.send(letter) {
            Ok(delivery) => acknowledged(delivery).await,
            Err(error) => Err(error),
        };
        if delivered.as_ref().is_err_and(Self::is_fatal) {
            drop(current);
            self.replace(number).await;
        }
        delivered
    }

    /// Whether an error says that its producer can send no more, although another could.
    pub(crate) fn is_fatal(error: &KafkaError) -> bool {
        error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
    }

    /// Makes a new producer in place of the one with this number, unless that was replaced already: all of its
    /// messages fail at once.
    async fn replace(&self, number: u64) {
        let _alone = self.renewing.lock().await;
        if self.current().number != number {
            return;
        }
        // Making a producer starts threads, and dropping one waits for them.
        let (make, kafka) = (self.make, self.kafka.clone());
        match spawn_blocking(move || make(&kafka)).await {
            Ok(Ok(producer)) => {
                let new = Current { producer, number: number + 1 };
                let old = std::mem::replace(&mut *self.current(), new);
                tracing::warn!("the producer failed permanently; a new one takes its place");
                drop(spawn_blocking(move || drop(old)));
            }
            Ok(Err(error)) => tracing::error!(%error, "no new producer can be made"),
            Err(error) => tracing::error!(%error, "making a new producer failed"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn send(&self, letter: &Letter) -> Result<DeliveryFuture, KafkaError> {
        let record = FutureRecord::to(&letter.topic)
            .key(&letter.key)
            .payload(&letter.payload)
            .timestamp(letter.written_ms)
            .headers(letter.headers.clone());
        self.producer.send_result(record).map_err(|(error, _)| error)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static MADE: AtomicU64 = AtomicU64::new(0);

    fn make(kafka: &Kafka) -> Result<FutureProducer, KafkaError> {
        MADE.fetch_add(1, Ordering::SeqCst);
        kafka.producer()
    }

    #[tokio::test]
    async fn a_producer_that_failed_is_replaced_once_by_all_who_saw_it_fail() {
        let outbox = Outbox::new(&Kafka::new("127.0.0.1:1", "test"), make).unwrap();
        let failed = outbox.current().number;
        tokio::join!(outbox.replace(failed), outbox.replace(failed), outbox.replace(failed));
        assert_eq!((MADE.load(Ordering::SeqCst), outbox.current().number), (2, failed + 1));
        // A late error of the old one leaves the new one in its place; an error of the new one does not.
        outbox.replace(failed).await;
        assert_eq!(outbox.current().number, failed + 1);
        outbox.replace(failed + 1).await;
        assert_eq!((MADE.load(Ordering::SeqCst), outbox.current().number), (3, failed + 2));
    }
}
