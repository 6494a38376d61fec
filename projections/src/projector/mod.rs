//! The projector writes ClickHouse: it follows the log and inserts rows in batches.
//!
//! **Exactly once in effect.** A row is a function of the log up to its event and holds the event's
//! position in its key, so that a batch that is inserted twice, also by a projector that was
//! superseded without knowing, is the same rows again, which reads with `FINAL` see once. After the
//! rows comes the mark in ClickHouse ([`mark`]), then the checkpoint in Postgres; the projector goes
//! on from the lower one of the two. Nothing is skipped: whatever fails, the session ends, and the next
//! one begins where the last mark stands.

mod batch;
mod insert;
mod mark;
mod resume;
mod retries;
mod timeline;

pub(crate) use mark::contents;

use std::time::Duration;

use clickhouse::Client;
use pulsetrail_domain::Position;
use pulsetrail_infra::clickhouse::ClickHouseError;
use pulsetrail_infra::dead_letters::LOOK_FOR_RETRIES_EVERY;
use pulsetrail_infra::follower::{Follower, Haste};
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::lease::{Lease, work_under_lease};
use pulsetrail_infra::metrics;
use pulsetrail_infra::store::{Store, StoreError, save_checkpoint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backoff::Backoff;
use batch::{Batch, Timelines};
use insert::insert;
use resume::resume;

/// The projector's name among the leases, the checkpoints and the metrics.
pub const PROJECTOR: &str = "projector";
/// A batch is written when it holds so many events …
const MAX_EVENTS: usize = 10_000;
/// … or when so much time has passed since the batch before, for every batch makes files, which are synced,
/// merged and removed again: disk time that commands wait for.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// What comes together is written together, also after a quiet time.
const LINGER: Duration = Duration::from_millis(20);
/// How often the tables are looked at while nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long ClickHouse and Postgres may take for a batch in all.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// The projector cannot work for now; it goes on from the last mark.
#[derive(Debug, thiserror::Error)]
enum ProjectorError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// ClickHouse.
    #[error("ClickHouse does not take the projection: {0}")]
    ClickHouse(#[from] ClickHouseError),
    /// ClickHouse holds what this version does not know.
    #[error("what is kept of monitor {monitor_id} cannot be read: {error}")]
    Unreadable { monitor_id: Uuid, error: serde::de::value::Error },
    /// The tables are not those that were written to.
    #[error("ClickHouse's tables were emptied or replaced")]
    Replaced,
    /// No answer in time.
    #[error("ClickHouse did not take a batch in {} s", FLUSH_TIMEOUT.as_secs())]
    TimedOut,
}

/// Runs the projector until `shutdown`: as the active one or as a standby. `ready` is called when it is
/// either. It never gives up: while an engine is away it tries again, with back-off.
pub async fn run(
    store: &Store,
    kafka: &Kafka,
    clickhouse: Client,
    shutdown: CancellationToken,
    ready: impl FnOnce(),
) {
    ready();
    work_under_lease(&store.read, PROJECTOR, &shutdown, |lease| {
        work(store, kafka, &clickhouse, lease)
    })
    .await;
}

async fn work(
    store: &Store,
    kafka: &Kafka,
    client: &Client,
    lease: Lease,
) -> Result<(), ProjectorError> {
    let mut backoff = Backoff::new();
    while !lease.lost.is_cancelled() {
        let ended = tokio::select! {
            ended = session(store, kafka, client, &mut backoff) => ended,
            () = lease.lost.cancelled() => return Ok(()),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the projection stands still and is tried again");
            backoff.wait(&lease.lost).await;
        }
    }
    Ok(())
}

/// Goes on until something fails. Dropping it in between loses nothing.
async fn session(
    store: &Store,
    kafka: &Kafka,
    client: &Client,
    backoff: &mut Backoff,
) -> Result<(), ProjectorError> {
    let resumed = resume(store, client).await?;
    let (pool, from) = (store.read.clone(), resumed.position);
    let follower = Follower::new(pool, kafka.clone(), from, Haste::Calm);
    let mut session = Session {
        store,
        client,
        generation: resumed.generation,
        written: resumed.position,
        written_at: Instant::now(),
    };
    session.follow(follower, resumed.timelines, backoff).await
}

struct Session<'a> {
    store: &'a Store,
    client: &'a Client,
    generation: Uuid,
    /// The last mark.
    written: Position,
    written_at: Instant,
}

impl Session<'_> {
    async fn follow(
        &mut self,
        mut follower: Follower,
        mut timelines: Timelines,
        backoff: &mut Backoff,
    ) -> Result<(), ProjectorError> {
        let mut batch = Batch::default();
        let mut flush_at = Instant::now() + LOOK_EVERY;
        let mut retry_at = Instant::now();
        loop {
            let room = MAX_EVENTS - batch.events;
            let wake_at = if batch.events == 0 { flush_at.min(retry_at) } else { flush_at };
            match tokio::time::timeout_at(wake_at, follower.next_batch(room)).await {
                Ok(Ok(events)) => {
                    if batch.events == 0 {
                        flush_at = (Instant::now() + LINGER).max(self.written_at + FLUSH_EVERY);
                    }
                    batch.take(&mut timelines, &events);
                    if batch.events < MAX_EVENTS {
                        continue;
                    }
                }
                Ok(Err(error)) => {
                    self.flush(&mut batch).await?;
                    tracing::warn!(%error, "the log cannot be followed for now");
                    backoff.wait(&CancellationToken::new()).await;
                    flush_at = Instant::now() + LOOK_EVERY;
                    continue;
                }
                Err(_it_is_time) => {}
            }
            if batch.events > 0 {
                self.flush(&mut batch).await?;
                backoff.reset();
                flush_at = Instant::now() + LOOK_EVERY;
            } else if Instant::now() >= flush_at {
                self.look().await?;
                flush_at = Instant::now() + LOOK_EVERY;
            }
            if Instant::now() >= retry_at {
                if let Err(error) = self.retry_events(&mut timelines).await {
                    tracing::warn!(%error, "events cannot be retried for now");
                }
                retry_at = Instant::now() + LOOK_FOR_RETRIES_EVERY;
            }
        }
    }

    async fn flush(&mut self, batch: &mut Batch) -> Result<(), ProjectorError> {
        let batch = std::mem::take(batch);
        let written = tokio::time::timeout(FLUSH_TIMEOUT, self.write(batch)).await;
        written.map_err(|_elapsed| ProjectorError::TimedOut)?
    }

    async fn write(&mut self, batch: Batch) -> Result<(), ProjectorError> {
        let Some(end) = batch.end else { return Ok(()) };
        tokio::try_join!(
            insert(self.client, "checks", &batch.checks),
            insert(self.client, "transitions", &batch.transitions),
            insert(self.client, "schedules", &batch.schedules),
        )?;
        // Without this look, tables that were emptied behind the last mark would get a mark that
        // stands for rows that they have not. If it happens just now, the birth is missing.
        self.look().await?;
        let position = end.0;
        mark::write_mark(self.client, self.generation, end).await?;
        for letter in &batch.dead {
            letter.save(&mut *self.store.read.acquire().await.map_err(StoreError::from)?).await?;
        }
        save_checkpoint(&self.store.write, PROJECTOR, position).await?;
        self.written = position;
        self.written_at = Instant::now();
        metrics::projected("analytics", position.0);
        Ok(())
    }

    /// Whether the tables are still those that were written to.
    async fn look(&self) -> Result<(), ProjectorError> {
        match mark::contents(self.client).await? {
            Some(contents)
                if contents.generation == self.generation && contents.position >= self.written =>
            {
                Ok(())
            }
            _ => Err(ProjectorError::Replaced),
        }
    }
}
