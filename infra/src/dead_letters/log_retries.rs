//! Retries of events, by the consumers of the log.
//!
//! A consumer that could not read an event went on without it. When the event is to be tried again the
//! consumer's lease is made to run out, and whoever takes it begins at the event instead of at its
//! checkpoint: what it applies a second time changes nothing (I3).

use pulsetrail_domain::Position;
use sqlx::PgExecutor;

use crate::store::StoreError;

/// The events that a consumer of the log is to read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRetries {
    consumer: String,
    positions: Vec<i64>,
}

impl LogRetries {
    /// What `consumer` is to read again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn load(executor: impl PgExecutor<'_>, consumer: &str) -> Result<Self, StoreError> {
        let positions = sqlx::query_scalar(
            "select position from dead_letters
             where consumer = $1 and position is not null and resolved_at is null
               and retried_at > failed_at
             order by position",
        )
        .bind(consumer)
        .fetch_all(executor)
        .await?;
        Ok(Self { consumer: consumer.to_owned(), positions })
    }

    /// Where to begin instead of at `checkpoint`.
    #[must_use]
    pub fn begin_at(&self, checkpoint: Position) -> Position {
        let first = self.positions.first().map(|position| Position(position - 1));
        first.map_or(checkpoint, |first| first.min(checkpoint))
    }

    /// Notes that everything up to `through` was applied: what did not fail again is resolved. Costs
    /// nothing where there is nothing to note.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn applied(
        &mut self,
        executor: impl PgExecutor<'_>,
        through: Position,
    ) -> Result<(), StoreError> {
        let done = self.positions.partition_point(|position| *position <= through.0);
        if done == 0 {
            return Ok(());
        }
        sqlx::query(
            "update dead_letters set resolved_at = clock_timestamp()
             where consumer = $1 and position = any($2) and retried_at > failed_at",
        )
        .bind(&self.consumer)
        .bind(self.positions.get(..done).unwrap_or_default())
        .execute(executor)
        .await?;
        self.positions.drain(..done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_begins_before_the_first_event_to_be_read_again() {
        let retries = |positions: &[i64]| LogRetries {
            consumer: "views".to_owned(),
            positions: positions.to_vec(),
        };
        assert_eq!(retries(&[]).begin_at(Position(9)), Position(9));
        assert_eq!(retries(&[4, 7]).begin_at(Position(9)), Position(3));
        assert_eq!(retries(&[12]).begin_at(Position(9)), Position(9));
    }
}
