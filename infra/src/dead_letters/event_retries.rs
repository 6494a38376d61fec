//! Retries of events, by the consumers of the log.
//!
//! A consumer that could not read an event went on without it. When somebody asks for a retry, the row of
//! the letter says so, and the active copy of the consumer takes it from there: it reads that event from
//! the store and applies it, beside its stream. Its position, checkpoint, mark and lease stay as they are.

use std::collections::HashMap;
use std::time::Duration;

use pulsetrail_domain::{Position, Timestamp};
use sqlx::PgPool;
use uuid::Uuid;

use super::letter::Letter;
use crate::store::{DecodeError, Event, StoreError, read_at};

/// How often a consumer looks for retries.
pub const LOOK_FOR_RETRIES_EVERY: Duration = Duration::from_secs(1);
/// How many a consumer takes at a look: between them it follows its stream.
const AT_A_LOOK: i64 = 20;

/// An event that somebody asked a consumer to retry.
#[derive(Clone, Debug)]
pub struct EventRetry {
    /// The event.
    pub event: Event,
    consumer: String,
    letter: Uuid,
    retried_at: Timestamp,
}

impl EventRetry {
    /// The next retries that a consumer was asked for, at most 20. Organizations come in turn, so that one
    /// with many retries delays another's by one retry each.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn next(pool: &PgPool, consumer: &str) -> Result<Vec<Self>, StoreError> {
        let asked: Vec<(Uuid, i64, Timestamp)> = sqlx::query_as(
            "select dead_letter_id, position, retried_at
             from (select dead_letter_id, position, retried_at,
                          row_number() over (partition by organization_id
                                             order by retried_at, position) as turn
                   from dead_letters
                   where consumer = $1 and position is not null and resolved_at is null
                     and retried_at > failed_at) as waiting
             order by turn, retried_at, position limit $2",
        )
        .bind(consumer)
        .bind(AT_A_LOOK)
        .fetch_all(pool)
        .await?;
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let positions: Vec<i64> = asked.iter().map(|(_, position, _)| *position).collect();
        let events = read_at(pool, &positions).await?;
        let mut events: HashMap<Position, Event> =
            events.into_iter().map(|event| (event.position, event)).collect();
        let mut retries = Vec::with_capacity(asked.len());
        for (letter, position, retried_at) in asked {
            match events.remove(&Position(position)) {
                Some(event) => {
                    let consumer = consumer.to_owned();
                    retries.push(Self { event, consumer, letter, retried_at });
                }
                None => note_missing(pool, letter).await?,
            }
        }
        Ok(retries)
    }

    /// Notes that the event was applied: the letter is resolved.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn applied(&self, pool: &PgPool) -> Result<(), StoreError> {
        sqlx::query(
            "update dead_letters set resolved_at = clock_timestamp()
             where dead_letter_id = $1 and retried_at = $2 and retried_at > failed_at",
        )
        .bind(self.letter)
        .bind(self.retried_at)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Notes that the event could not be read again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn failed(&self, pool: &PgPool, error: &DecodeError) -> Result<(), StoreError> {
        let letter = Letter::of_event(&self.consumer, &self.event, error);
        letter.save(&mut *pool.acquire().await?).await?;
        Ok(())
    }
}

/// Notes of a letter that its event is not in the store.
async fn note_missing(pool: &PgPool, letter: Uuid) -> Result<(), StoreError> {
    sqlx::query(
        "update dead_letters
         set failures = failures + 1, failed_at = clock_timestamp(), copied_at = null,
             detail = 'there is no event at this position'
         where dead_letter_id = $1",
    )
    .bind(letter)
    .execute(pool)
    .await?;
    Ok(())
}
