//! The event store: one table in Postgres, one order.

mod access;
mod append;
mod checkpoint;
mod clock;
mod compact;
mod copied;
mod egress;
mod error;
mod event;
mod fair_queue;
mod irregular;
mod monitor_history;
mod monitor_log;
mod monitor_view;
mod monitors;
mod page;
mod position_at;
mod read;
mod replay;
mod scheduler_progress;
mod secrets;
mod snapshot;
mod stored;
mod stored_monitor;
mod tail;
mod traces;
mod upcast;

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

pub use access::append_access;
pub use append::{Append, AppendOutcome, Guard, NewEvent, append_batch, append_batch_after};
pub(crate) use checkpoint::{claim_checkpoint, save_claimed_checkpoint};
pub use checkpoint::{load_checkpoint, save_checkpoint};
pub use clock::database_time;
pub use egress::{append_refusals, count_refusals, count_unlogged_refusals, read_refusals};
pub use error::StoreError;
pub use event::{DecodeError, Event};
pub use irregular::{RecordedBefore, note_irregular_checks, recorded_before, recorded_on_demand};
pub use monitor_history::{read_monitors_after, read_organization_between};
pub use monitor_view::MonitorViewWriter;
pub use monitors::{MonitorCommands, MonitorFailure};
pub use page::{read_page_of_type, read_page_with_metadata};
pub use position_at::position_at;
pub use read::{
    EventWithMetadata, head, monitors_between, read_after, read_aggregate, read_aggregates,
};
pub(crate) use read::{position_before, read_at, unpublished};
pub use replay::Replay;
pub use scheduler_progress::{SchedulerProgress, load_scheduler_progress, save_scheduler_progress};
pub use secrets::{load_every_sealed, load_sealed};
pub use snapshot::{Snapshot, load_snapshots, save_snapshots};
pub use stored_monitor::StoredMonitor;
pub use tail::Tail;
pub use traces::save_check_trace;
pub(crate) use traces::traces_of;
pub(crate) use upcast::to_current;
pub use upcast::{Upcaster, add_upcasters};

/// The lock under which positions are assigned; the schema's trigger takes the same one.
pub const APPEND_LOCK: i64 = 7_013_846_129;

static SCHEMA: Migrator = sqlx::migrate!("../schemas/postgres");

/// The channel that every append notifies.
pub(crate) const EVENTS_CHANNEL: &str = "pulsetrail_events";

/// How long a connection may lie idle before it is asked whether the server is still there.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// The connections of a process to a cell's Postgres.
#[derive(Clone, Debug)]
pub struct Store {
    /// For reading.
    pub read: PgPool,
    /// For appending: a writer that hangs while it holds the lock is ended by the server.
    pub write: PgPool,
}

impl Store {
    /// Connects, with at most `connections` connections for each of the two purposes.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the URL is not one or the server does not answer in 10 s.
    pub async fn connect(database_url: &str, connections: u32) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(database_url)?.application_name("pulsetrail");
        let appending = options.clone().options([
            ("idle_in_transaction_session_timeout", "1s"),
            ("statement_timeout", "10s"),
            ("lock_timeout", "3s"),
        ]);
        let pool = |options| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(10))
                // A connection that was used a moment ago needs no question whether it is there: that
                // would be a round trip with each query.
                .test_before_acquire(false)
                .before_acquire(|connection, about| {
                    Box::pin(async move {
                        if about.idle_for >= ASK_AFTER {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_with(options)
        };
        let (read, write) = tokio::try_join!(pool(options), pool(appending))?;
        Ok(Self { read, write })
    }

    /// Ends every connection. What is under way is finished first.
    pub async fn close(&self) {
        tokio::join!(self.read.close(), self.write.close());
    }

    /// Applies every part of the schema that is not there yet.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when the database was written by a newer version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // Not on the appending connections: an index on a large table takes longer than their limit.
        Ok(SCHEMA.run(&self.read).await?)
    }

    /// Whether the schema is exactly the one that this version knows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn schema_is_current(&self) -> Result<bool, StoreError> {
        let newest = SCHEMA.iter().map(|migration| migration.version).max();
        let applied: Result<Option<i64>, sqlx::Error> =
            sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
                .fetch_one(&self.read)
                .await;
        match applied {
            Ok(applied) => Ok(applied == newest),
            // 42P01: there is no such table, and so no schema at all.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
