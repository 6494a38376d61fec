//! The recorder turns results into events of the `health` aggregate, in batches.
//!
//! A batch is decided from cached aggregates and stored in one transaction, in which the versions
//! that the decisions were made from are compared under the append lock. What moved is loaded and
//! decided again. Offsets are committed after everything of the batch is durable, so that a recorder
//! that dies repeats work and never skips any; what it repeats is recognised as recorded before.

mod beside;
mod cache;
mod commit;
mod dead_letter;
mod decide;
mod intake;
mod refusals;
mod storable;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::FutureExt;
use pulsetrail_infra::kafka::{Kafka, receive};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{Store, StoreError};
use pulsetrail_infra::vitals::{self, Stage};
use rdkafka::Message;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use cache::Cache;
use commit::record_batch;
use intake::Intake;
use refusals::Refusals;

/// The recorder's name: its consumer group and the owner of its dead letters.
pub const RECORDER: &str = "recorder";
/// How many results are stored in one transaction at most.
const BATCH: usize = 1_000;
/// How soon after a batch the next one begins; what comes meanwhile is stored with it. A batch is a disk
/// write that commands wait for, so that many small ones would stand in their way. A result that comes
/// after a while of quiet is stored at once.
const PACE: Duration = Duration::from_millis(10);
/// How many monitors are kept in memory at most: about 1.6 kB each. They come in turn, so that with more
/// of them each result would find its monitor forgotten.
const CACHED_MONITORS: usize = 500_000;
/// The longest wait before a batch that could not be stored is tried again.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// How often offsets whose commit failed are committed again.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// How long a recorder waits for its first partitions: longer than the group's session.
const JOINING: Duration = Duration::from_secs(10);

/// How long a recorder that is told to stop waits for Kafka.
const LEAVING: Duration = Duration::from_secs(5);

/// How often Postgres may refuse the same messages before one of them is taken to be at fault.
const REFUSALS: u32 = 3;

/// The recorder cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("the recorder cannot read from Kafka: {0}")]
pub struct RecorderError(#[from] KafkaError);

/// Records results until `shutdown`; `ready` is called once it has a share of the results.
///
/// # Errors
/// [`RecorderError`] when Kafka refuses the consumer's settings.
pub async fn run(
    store: &Store,
    kafka: &Kafka,
    shutdown: CancellationToken,
    ready: impl FnOnce(),
) -> Result<(), RecorderError> {
    let config = tokio::select! {
        config = kafka.prompt_group_config(RECORDER) => config,
        () = shutdown.cancelled() => return Ok(()),
    };
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[&kafka.topics.results()])?;
    tokio::join!(
        record(store, &consumer, &shutdown),
        announce(&consumer, ready),
        // Its letters, and those of whoever has no Postgres, on their way to and from Kafka.
        pulsetrail_infra::dead_letters::run(store, kafka, &shutdown),
    );
    leave(consumer).await;
    Ok(())
}

/// Leaves the group, which must not learn of it before what was committed asynchronously has arrived.
async fn leave(consumer: StreamConsumer) {
    let left = tokio::task::spawn_blocking(move || {
        // Without an answer these results come again, which changes nothing.
        let _ = consumer.commit_consumer_state(CommitMode::Sync);
        drop(consumer);
    });
    if tokio::time::timeout(LEAVING, left).await.is_err() {
        tracing::warn!("Kafka is away: the group finds out by itself that this recorder left");
    }
}

/// Calls `ready` when the group gave this recorder partitions, or when it may be taken to have none left.
async fn announce(consumer: &StreamConsumer, ready: impl FnOnce()) {
    let given_up = tokio::time::Instant::now() + JOINING;
    while consumer.assignment().is_ok_and(|places| places.count() == 0)
        && tokio::time::Instant::now() < given_up
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ready();
}

/// What results are recorded with.
struct Recorder<'a> {
    store: &'a Store,
    cache: Cache,
    refusals: Refusals,
}

async fn record(store: &Store, consumer: &StreamConsumer, shutdown: &CancellationToken) {
    let cache = Cache::new(CACHED_MONITORS);
    let mut recorder = Recorder { store, cache, refusals: Refusals::new() };
    let mut commit_again = interval(COMMIT_AGAIN);
    commit_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = tokio::time::Instant::now();
    loop {
        let messages = tokio::select! {
            () = shutdown.cancelled() => break,
            messages = next_messages(consumer, next) => messages,
            _ = commit_again.tick() => {
                commit(consumer);
                continue;
            }
        };
        match messages {
            Ok(messages) => {
                let taken = Instant::now();
                next = tokio::time::Instant::now() + PACE;
                metrics::stage_passed(Stage::Result, messages.len(), waited(&messages));
                if !record_until_done(&mut recorder, &messages, shutdown).await {
                    break;
                }
                let each = vitals::microseconds(taken.elapsed());
                metrics::stage_passed(Stage::Stored, messages.len(), each * messages.len() as i64);
                commit_offsets(consumer, &messages);
            }
            Err(error) => {
                tracing::warn!(%error, "results cannot be read from Kafka and are asked for again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// How long messages were on their way, all together, in microseconds.
fn waited(messages: &[OwnedMessage]) -> i64 {
    let now_ms = Utc::now().timestamp_millis();
    let sent_ms = messages.iter().filter_map(|message| message.timestamp().to_millis());
    sent_ms.map(|sent_ms| (now_ms - sent_ms).max(0) * 1_000).sum()
}

/// At least one message, not before `at`, and whatever came with it.
async fn next_messages(
    consumer: &StreamConsumer,
    at: tokio::time::Instant,
) -> Result<Vec<OwnedMessage>, KafkaError> {
    tokio::time::sleep_until(at).await;
    let mut messages = vec![receive(consumer).await?.detach()];
    while messages.len() < BATCH {
        match consumer.recv().now_or_never() {
            Some(Ok(message)) => messages.push(message.detach()),
            // An error is met again by the next call, which has nothing to lose.
            Some(Err(_)) | None => break,
        }
    }
    Ok(messages)
}

/// Stores a batch, however long Postgres is away; false when the process was told to stop first. Where
/// Postgres answers and refuses what it is given, again and again, the batch is halved until the messages
/// that it refuses alone are found: those are dead letters. One among a thousand takes twenty transactions
/// to find, and not a thousand, for the results behind them wait.
async fn record_until_done(
    recorder: &mut Recorder<'_>,
    messages: &[OwnedMessage],
    shutdown: &CancellationToken,
) -> bool {
    let mut parts = vec![messages];
    let mut refused: Vec<(&OwnedMessage, StoreError)> = Vec::new();
    while let Some(part) = parts.pop() {
        // A server can be wrong for a moment: the batch has several attempts, and each part one more.
        let attempts = if part.len() == messages.len() { REFUSALS } else { 1 };
        match store_until_refused(recorder, Work::Messages(part), attempts, shutdown).await {
            Stored::Done => {}
            Stored::ToldToStop => return false,
            Stored::Refused(error) => match part {
                [alone] => refused.push((alone, error)),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            },
        }
    }
    // A letter holds nothing that Postgres refuses: bytes, and a detail without control characters.
    match store_until_refused(recorder, Work::Refused(&refused), u32::MAX, shutdown).await {
        Stored::Done => true,
        Stored::ToldToStop | Stored::Refused(_) => false,
    }
}

/// What is to be stored.
#[derive(Clone, Copy)]
enum Work<'a> {
    Messages(&'a [OwnedMessage]),
    /// The letters of messages that Postgres refused, and why.
    Refused(&'a [(&'a OwnedMessage, StoreError)]),
}

impl Work<'_> {
    fn intakes(self) -> Vec<Intake> {
        match self {
            Self::Messages(messages) => messages.iter().map(Intake::from_message).collect(),
            Self::Refused(refused) => {
                refused.iter().map(|(origin, error)| Intake::refused(origin, error)).collect()
            }
        }
    }
}

enum Stored {
    Done,
    ToldToStop,
    Refused(StoreError),
}

/// Stores messages, or their letters, as long as it is Postgres that is at fault; after `attempts` at which it was what is in
/// them, they are refused.
async fn store_until_refused(
    recorder: &mut Recorder<'_>,
    work: Work<'_>,
    attempts: u32,
    shutdown: &CancellationToken,
) -> Stored {
    let mut backoff = Duration::from_millis(50);
    let mut refusals = 0;
    loop {
        let intakes = work.intakes();
        let results = intakes.len();
        let error: StoreError = match record_batch(recorder, intakes).await {
            Ok(()) => return Stored::Done,
            Err(error) => error,
        };
        // Whether a commit that failed took effect is not known: what is cached may be behind.
        recorder.cache.clear();
        tracing::warn!(%error, batch.results = results, "results could not be stored yet");
        if error.blames_the_data() {
            refusals += 1;
            if refusals == attempts {
                return Stored::Refused(error);
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Stored::ToldToStop,
            () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(MAX_BACKOFF),
        }
    }
}

fn commit_offsets(consumer: &StreamConsumer, messages: &[OwnedMessage]) {
    let mut next: HashMap<(&str, i32), i64> = HashMap::new();
    for message in messages {
        let offset = next.entry((message.topic(), message.partition())).or_default();
        *offset = (*offset).max(message.offset() + 1);
    }
    let mut places = TopicPartitionList::new();
    for ((topic, partition), offset) in next {
        // Refused only for invalid offsets, which a message that was read does not have.
        let _ = places.add_partition_offset(topic, partition, Offset::Offset(offset));
    }
    if let Err(error) = consumer.store_offsets(&places) {
        // The partitions have moved to another recorder, which repeats these results.
        tracing::debug!(%error, "offsets were not kept");
    }
    commit(consumer);
}

/// Commits the offsets that are kept and not committed yet: also those of a commit that was refused while
/// the group changed, or went down with Kafka.
fn commit(consumer: &StreamConsumer) {
    match consumer.commit_consumer_state(CommitMode::Async) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => tracing::debug!(%error, "offsets were not committed"),
    }
}
