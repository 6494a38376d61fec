//! Trying a dead letter again.

use std::collections::HashSet;
use std::time::Duration;

use pulsetrail_domain::Timestamp;
use rdkafka::error::KafkaError;
use rdkafka::message::Header;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::letter::{Letter, Origin, RETRY_HEADER};
use super::read::{Scope, StoredLetter, show};
use super::shown::{Shown, sent_again};
use crate::kafka::Kafka;
use crate::store::{Store, StoreError};

/// The consumers of the log that apply an event alone when they are asked to.
const APPLY_EVENTS: [&str; 3] = ["projector", "views", "scheduler"];
/// How long Kafka may take.
const KAFKA_WAIT: Duration = Duration::from_secs(5);

/// Why a dead letter was not tried again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is none of that id, or it is another organization's.
    #[error("there is no such dead letter")]
    NotFound,
    /// It cannot be, for the reason given: tell the caller.
    #[error("the dead letter cannot be tried again: {0}")]
    Impossible(&'static str),
    /// Postgres: try again later.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka: try again later.
    #[error("Kafka does not take the message: {0}")]
    Kafka(#[from] KafkaError),
}

/// Has a dead letter tried again, as often as one likes: whatever it leads to is counted once.
///
/// A message is sent to its topic once more as it was, with the letter's id in a header. An event is
/// applied alone by the active copy of its consumer, which looks for such requests every second. `by` is
/// noted in the letter.
///
/// # Errors
/// See [`RetryError`].
pub async fn retry(
    store: &Store,
    kafka: &Kafka,
    producer: &FutureProducer,
    scope: Scope,
    id: Uuid,
    by: &str,
) -> Result<StoredLetter, RetryError> {
    let stored = show(&store.read, scope, id).await?.ok_or(RetryError::NotFound)?;
    // The moment before: should it fail again at once, then it failed after it was tried.
    let now: Timestamp = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&store.read)
        .await
        .map_err(StoreError::from)?;
    match &stored.letter.origin {
        Origin::Message { topic, .. } if *topic == kafka.topics.events() => {
            return Err(RetryError::Impossible("its event was read from the store instead"));
        }
        Origin::Message { topic, .. } => {
            send_again(producer, topic, &stored.letter).await?;
            note(store, id, now, by).await?;
        }
        Origin::Event { .. } if !APPLY_EVENTS.contains(&stored.letter.consumer.as_str()) => {
            return Err(RetryError::Impossible("its consumer passed the event over for good"));
        }
        Origin::Event { .. } => note(store, id, now, by).await?,
    }
    show(&store.read, scope, id).await?.ok_or(RetryError::NotFound)
}

async fn note(store: &Store, id: Uuid, at: Timestamp, by: &str) -> Result<(), StoreError> {
    sqlx::query(
        "update dead_letters set retried_at = $2, retried_by = $3 where dead_letter_id = $1",
    )
    .bind(id)
    .bind(at)
    .bind(by)
    .execute(&store.read)
    .await?;
    Ok(())
}

/// Notes that the messages that retried letters were sent again as had their effect.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn resolve(
    executor: impl PgExecutor<'_>,
    consumer: &str,
    letters: &HashSet<Uuid>,
) -> Result<(), StoreError> {
    if letters.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update dead_letters set resolved_at = clock_timestamp()
         where dead_letter_id = any($1) and consumer = $2 and resolved_at is null",
    )
    .bind(letters.iter().copied().collect::<Vec<_>>())
    .bind(consumer)
    .execute(executor)
    .await?;
    Ok(())
}

async fn send_again(
    producer: &FutureProducer,
    topic: &str,
    letter: &Letter,
) -> Result<(), RetryError> {
    if letter.content_missing {
        return Err(RetryError::Impossible("its content was too long to be kept"));
    }
    let key = letter.key.as_ref().and_then(Shown::bytes);
    let payload = letter.payload.as_ref().and_then(Shown::bytes);
    let kept: Vec<_> =
        letter.headers.iter().filter(|header| header.key != RETRY_HEADER).cloned().collect();
    let id = letter.id.to_string();
    let headers = sent_again(&kept).insert(Header { key: RETRY_HEADER, value: Some(&id) });
    let mut record = FutureRecord::<[u8], [u8]>::to(topic).headers(headers);
    if let Some(key) = &key {
        record = record.key(key);
    }
    if let Some(payload) = &payload {
        record = record.payload(payload);
    }
    let sent = producer.send(record, Timeout::After(KAFKA_WAIT));
    match tokio::time::timeout(KAFKA_WAIT, sent).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error.into()),
        // It may be sent yet, which does no harm.
        Err(_) => Err(KafkaError::Canceled.into()),
    }
}
