//! The topic of dead letters: a copy of the rows, and the way in for who has no Postgres.
//!
//! Every message there is a [`Letter`]. Rows that are not in the topic yet are copied to it under a
//! lease, at least once. Whatever stands in the topic and is no row yet becomes one: a prober, which
//! reaches Kafka alone, writes its dead letters there. A copy that is read back changes nothing.

use std::time::Duration;

use pulsetrail_domain::Timestamp;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::letter::{Letter, Reason};
use super::read::to_copy;
use crate::kafka::{Kafka, payload_of};
use crate::lease::{Lease, work_under_lease};
use crate::store::{Store, StoreError};

/// The name of this work among the leases, the consumer groups and the consumers.
pub const DEAD_LETTERS: &str = "dead-letters";
/// The `ce_type` of a [`Letter`].
pub const LETTER_TYPE: &str = "pulsetrail.dead-letter";
/// How many letters are copied at a time.
const PAGE: i64 = 100;
/// How often the table is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait for an engine that is away.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The longest letter in the topic, in bytes; brokers take messages of 1 MiB by default.
const MAX_BYTES: usize = 900 * 1_024;

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the dead letters cannot be copied to Kafka: {0}")]
    Kafka(#[from] KafkaError),
}

impl Letter {
    /// The value of the letter's message; without the content of the original where that makes it too
    /// long for Kafka.
    #[must_use]
    pub fn message_payload(&self) -> String {
        // A letter holds nothing that JSON cannot hold.
        let json = |letter: &Self| serde_json::to_string(letter).unwrap_or_default();
        let whole = json(self);
        if whole.len() <= MAX_BYTES { whole } else { json(&self.clone().without_content()) }
    }

    /// The headers of the letter's message.
    #[must_use]
    pub fn message_headers(&self) -> OwnedHeaders {
        let id = self.id.to_string();
        let time = self.failed_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        let organization = self.organization_id.map(|id| id.to_string());
        [
            ("ce_specversion", Some("1.0")),
            ("ce_id", Some(id.as_str())),
            ("ce_type", Some(LETTER_TYPE)),
            ("ce_source", Some("/pulsetrail")),
            ("ce_time", Some(time.as_str())),
            ("ce_organizationid", organization.as_deref()),
            ("content-type", Some("application/json")),
        ]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }))
    }
}

/// Keeps rows and topic the same until `shutdown`. While an engine is away it waits.
pub async fn run(store: &Store, kafka: &Kafka, shutdown: &CancellationToken) {
    let copying =
        work_under_lease(&store.read, DEAD_LETTERS, shutdown, |lease| copy(store, kafka, lease));
    tokio::join!(copying, collect(store, kafka, shutdown));
}

async fn copy(store: &Store, kafka: &Kafka, lease: Lease) -> Result<(), CopyError> {
    // A new producer with each lease: a fatal error of the old one does not outlive it.
    let producer = kafka.producer()?;
    while !lease.lost.is_cancelled() {
        let letters = to_copy(&store.read, PAGE).await?;
        if letters.is_empty() {
            tokio::select! {
                () = lease.lost.cancelled() => break,
                () = tokio::time::sleep(LOOK_EVERY) => continue,
            }
        }
        for stored in letters {
            send(&producer, &kafka.topics.dead_letters(), &stored.letter).await?;
            note_copied(&store.read, stored.letter.id, stored.letter.failed_at).await?;
        }
    }
    Ok(())
}

async fn send(producer: &FutureProducer, topic: &str, letter: &Letter) -> Result<(), KafkaError> {
    let (key, payload) = (letter.id.to_string(), letter.message_payload());
    let record =
        FutureRecord::to(topic).key(&key).payload(&payload).headers(letter.message_headers());
    match producer.send_result(record).map_err(|(error, _)| error)?.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_producer_is_gone) => Err(KafkaError::Canceled),
    }
}

/// Where it has failed again meanwhile, that is to be copied yet.
async fn note_copied(pool: &PgPool, id: Uuid, failed_at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "update dead_letters set copied_at = clock_timestamp()
         where dead_letter_id = $1 and failed_at = $2",
    )
    .bind(id)
    .bind(failed_at)
    .execute(pool)
    .await?;
    Ok(())
}

async fn collect(store: &Store, kafka: &Kafka, shutdown: &CancellationToken) {
    let mut backoff = Duration::from_millis(100);
    while !shutdown.is_cancelled() {
        let ended = tokio::select! {
            ended = collect_with_one_consumer(store, kafka, &mut backoff) => ended,
            () = shutdown.cancelled() => return,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "dead letters cannot be read from Kafka for now");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(MAX_BACKOFF),
            () = shutdown.cancelled() => return,
        }
    }
}

async fn collect_with_one_consumer(
    store: &Store,
    kafka: &Kafka,
    backoff: &mut Duration,
) -> Result<(), CopyError> {
    let consumer: StreamConsumer = kafka.group_consumer(DEAD_LETTERS)?;
    consumer.subscribe(&[&kafka.topics.dead_letters()])?;
    loop {
        let message = consumer.recv().await?;
        let mut connection = store.read.acquire().await.map_err(StoreError::from)?;
        match payload_of::<Letter>(&message) {
            Ok(letter) => letter.save_from_topic(&mut connection).await?,
            // What is no letter is one about itself.
            Err(error) => {
                let fault = error.to_string();
                let letter =
                    Letter::of_message(DEAD_LETTERS, &message, None, Reason::Malformed, fault);
                letter.save(&mut connection).await?
            }
        };
        consumer.commit_message(&message, CommitMode::Async)?;
        *backoff = Duration::from_millis(100);
    }
}
