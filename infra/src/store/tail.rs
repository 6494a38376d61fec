//! The newest end of the log, read from the store itself as soon as an append is committed.

use std::time::Duration;

use pulsetrail_domain::Position;
use sqlx::PgPool;
use sqlx::postgres::PgListener;

use super::{EVENTS_CHANNEL, Event, StoreError, read_after};

/// How long a notification is waited for before the log is looked at without one.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Gives every event after a position once, in order, as long as it is asked. Beside the
/// [follower](crate::follower::Follower) it is a round trip to Kafka sooner, and costs Postgres a query
/// for each append, or for as many as came meanwhile.
pub struct Tail {
    pool: PgPool,
    /// Reads and is notified on one connection.
    connection: Option<PgListener>,
    /// The last event that was handed out.
    applied: Position,
    /// Whether the log ended there when it was last read: then there is nothing to read until somebody
    /// appends, who is heard of on the connection that has been listening since before.
    is_at_end: bool,
}

impl Tail {
    /// A tail that begins after `applied`.
    #[must_use]
    pub fn new(pool: PgPool, applied: Position) -> Self {
        Self { pool, connection: None, applied, is_at_end: false }
    }

    /// The next events, at least one and at most `limit`, waiting for them as long as it takes.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StoreError`]; the next call goes on where this one stopped, with a new connection.
    pub async fn next_batch(&mut self, limit: i64) -> Result<Vec<Event>, StoreError> {
        // A connection that failed, or was left in the middle of an answer, is not used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = PgListener::connect_with(&self.pool).await?;
                connection.listen(EVENTS_CHANNEL).await?;
                // What was appended while nobody listened is not told.
                self.is_at_end = false;
                connection
            }
        };
        loop {
            if self.is_at_end {
                until_notified(&mut connection).await?;
            }
            let events = read_after(&mut connection, self.applied, limit).await?;
            self.is_at_end = (events.len() as i64) < limit;
            if let Some(last) = events.last() {
                self.applied = last.position;
                self.connection = Some(connection);
                return Ok(events);
            }
        }
    }
}

/// Waits until something was appended, or for as long as nobody should wait without a look. One look
/// serves every notification that came before it.
async fn until_notified(listener: &mut PgListener) -> Result<(), StoreError> {
    if let Ok(notified) = tokio::time::timeout(LOOK_EVERY, listener.recv()).await {
        notified?;
        while listener.next_buffered().is_some() {}
    }
    Ok(())
}
