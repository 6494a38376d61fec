//! Following the log: from the store up to its head, then from Kafka, with nothing missed between.
//!
//! The follower notes where the topic ends before it reads the store. Whatever is published from
//! there on is either in the store by then, and is dropped as already applied, or comes after it.
//! Each message names the position of the event before it, so that a message that never arrived
//! (the topic was deleted, or the follower was away for longer than the topic keeps) shows, and is
//! read from the store. A topic that stays silent while the log goes on shows in the same way.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt;
use pulsetrail_domain::Position;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sqlx::PgPool;

use crate::dead_letters::{Letter, Reason};
use crate::kafka::{Kafka, METADATA_TIMEOUT, event_from_message, receive};
use crate::store::{Event, StoreError, head, read_after};

/// The consumer of dead letters that no follower could read: each is kept once, however many follow.
const FOLLOWER: &str = "follower";
/// How many events are read from the store at a time.
const PAGE: i64 = 1_000;
/// After how long a silence of the topic the store is asked whether the log went on.
const SILENCE: Duration = Duration::from_secs(2);

/// The log could not be followed for now: wait, and ask again. Nothing is lost or skipped.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Kafka.
    #[error("the events cannot be read from Kafka: {0}")]
    Kafka(#[from] KafkaError),
}

/// Gives every event after a position once, in order, as long as it is asked.
pub struct Follower {
    pool: PgPool,
    kafka: Kafka,
    /// The last event that was handed out.
    applied: Position,
    /// The store is to be read: at the start, and where messages are missing.
    replaying: bool,
    consumer: Option<StreamConsumer>,
    /// Read and not handed out yet.
    waiting: VecDeque<Event>,
    /// Messages at fault that are not kept yet.
    dead: Vec<Letter>,
    /// How soon an event is to be there.
    haste: Haste,
}

/// How soon a follower is to have an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// At once: the broker answers for each event, or for as many as came meanwhile.
    Prompt,
    /// Within a tenth of a second: the broker answers for all that came by then, which costs both sides
    /// a small part of it.
    Calm,
}

impl Follower {
    /// A follower that begins after `applied`.
    #[must_use]
    pub fn new(pool: PgPool, kafka: Kafka, applied: Position, haste: Haste) -> Self {
        Self {
            haste,
            pool,
            kafka,
            applied,
            replaying: true,
            consumer: None,
            waiting: VecDeque::new(),
            dead: Vec::new(),
        }
    }

    /// The position of the last event that was handed out.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// Whether everything that was in the log at the start has been handed out.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.replaying && self.waiting.is_empty()
    }

    /// The next events, at least one and at most `limit`, waiting for them as long as it takes.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`FollowError`]; the next call goes on where this one stopped.
    pub async fn next_batch(&mut self, limit: usize) -> Result<Vec<Event>, FollowError> {
        loop {
            self.set_aside().await?;
            if !self.waiting.is_empty() {
                let count = limit.max(1).min(self.waiting.len());
                let batch: Vec<Event> = self.waiting.drain(..count).collect();
                if let Some(last) = batch.last() {
                    self.applied = last.position;
                }
                return Ok(batch);
            }
            if self.consumer.is_none() {
                self.consumer = Some(self.subscribe().await?);
            }
            if self.replaying {
                self.replay().await?;
            } else {
                self.listen(limit).await?;
            }
        }
    }

    /// Keeps what was at fault. Whatever stood there, the store has it: the next message, or the
    /// silence, shows the gap.
    async fn set_aside(&mut self) -> Result<(), FollowError> {
        while let Some(letter) = self.dead.last() {
            let mut connection = self.pool.acquire().await.map_err(StoreError::from)?;
            letter.save(&mut connection).await?;
            self.dead.pop();
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<StreamConsumer, FollowError> {
        let consumer = match self.haste {
            Haste::Prompt => self.kafka.lone_consumer()?,
            Haste::Calm => self.kafka.calm_consumer()?,
        };
        let topic = self.kafka.topics.events();
        // The call blocks: not on a thread that others wait for.
        let subscribed = tokio::task::spawn_blocking(move || {
            let (_, end) = consumer.fetch_watermarks(&topic, 0, METADATA_TIMEOUT)?;
            let mut place = TopicPartitionList::new();
            place.add_partition_offset(&topic, 0, Offset::Offset(end))?;
            consumer.assign(&place)?;
            Ok::<_, KafkaError>(consumer)
        });
        // The task is never aborted, and a panic in it is a defect of the client library.
        subscribed.await.map_err(|_| KafkaError::Canceled)?.map_err(FollowError::Kafka)
    }

    async fn replay(&mut self) -> Result<(), FollowError> {
        let page = read_after(&self.pool, self.applied, PAGE).await?;
        self.replaying = page.len() as i64 == PAGE;
        self.waiting.extend(page);
        Ok(())
    }

    /// Waits for a message and takes what came with it.
    async fn listen(&mut self, limit: usize) -> Result<(), FollowError> {
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let first = match tokio::time::timeout(SILENCE, receive(consumer)).await {
            Ok(received) => received?,
            Err(_silence) => {
                self.replaying = head(&self.pool).await? > self.applied;
                return Ok(());
            }
        };
        let mut last = self.applied;
        let mut next = Some(first);
        while let Some(message) = next {
            match take(&message, last) {
                Taken::Next(event) => {
                    last = event.position;
                    self.waiting.push_back(event);
                }
                Taken::AppliedBefore => {}
                Taken::Malformed(letter) => self.dead.push(*letter),
                Taken::GapBefore => {
                    self.replaying = true;
                    return Ok(());
                }
            }
            if self.waiting.len() >= limit {
                break;
            }
            next = consumer.recv().now_or_never().transpose()?;
        }
        Ok(())
    }
}

enum Taken {
    Next(Event),
    AppliedBefore,
    GapBefore,
    Malformed(Box<Letter>),
}

fn take(message: &BorrowedMessage<'_>, last: Position) -> Taken {
    match event_from_message(message) {
        Ok((event, _)) if event.position <= last => Taken::AppliedBefore,
        Ok((event, previous)) if previous <= last => Taken::Next(event),
        Ok(_) => Taken::GapBefore,
        Err(error) => {
            let fault = error.to_string();
            let letter = Letter::of_message(FOLLOWER, message, None, Reason::Malformed, fault);
            Taken::Malformed(Box::new(letter))
        }
    }
}
