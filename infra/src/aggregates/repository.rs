//! The events of an aggregate in Postgres: appended to the one order, with their rows.

use std::future::Future;

use cqrs_es::Aggregate;
use cqrs_es::persist::{
    PersistedEventRepository, PersistenceError, ReplayFeed, ReplayStream, SerializedEvent,
    SerializedSnapshot,
};
use pulsetrail_domain::{OrganizationId, Position, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::ORGANIZATION;
use crate::store::{EventWithMetadata, Store, StoreError, read_aggregate, read_page_with_metadata};

/// Events that are read at a time.
const PAGE: i64 = 1_000;
/// Events that a stream reads ahead.
const AHEAD: usize = 100;

/// Stores the rows that belong to events, in their transaction.
pub trait RowWriter: Send + Sync + 'static {
    /// Stores the rows of one event. The lock of the log is held meanwhile: it must be quick.
    ///
    /// # Errors
    /// Whatever keeps the rows from being stored; then the event is not stored either.
    fn write(
        &self,
        transaction: &mut PgConnection,
        event: &StoredEvent,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An event that was just appended.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its place in the one order.
    pub position: Position,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// The aggregate, its type, and the event in its parts.
    pub serialized: SerializedEvent,
}

impl StoredEvent {
    /// The event itself.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn event<E: DeserializeOwned>(&self) -> Result<E, serde_json::Error> {
        serde_json::from_value(self.serialized.payload.clone())
    }

    /// Something that the metadata say, such as `actor`.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&str> {
        self.serialized.metadata.get(name).and_then(Value::as_str)
    }

    /// The aggregate's id.
    ///
    /// # Errors
    /// If it is no UUID.
    pub fn aggregate_id(&self) -> Result<Uuid, StoreError> {
        Uuid::parse_str(&self.serialized.aggregate_id)
            .map_err(|error| StoreError::Database(sqlx::Error::Decode(Box::new(error))))
    }
}

/// The events of aggregates whose rows a [`RowWriter`] stores.
pub struct AggregateRepository<W> {
    store: Store,
    writer: W,
}

impl<W: RowWriter> AggregateRepository<W> {
    /// Over a store.
    #[must_use]
    pub fn new(store: Store, writer: W) -> Self {
        Self { store, writer }
    }

    async fn read(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        after: i64,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        let mut events = Vec::new();
        let mut after = after;
        loop {
            let page =
                read_aggregate(&self.store.read, aggregate_type, aggregate_id, after, PAGE).await;
            let page = page.map_err(persistence)?;
            let is_full = page.len() as i64 == PAGE;
            for stored in page {
                after = stored.event.sequence;
                events.push(serialized(stored)?);
            }
            if !is_full {
                return Ok(events);
            }
        }
    }

    /// Appends the events at the expected version, and stores their rows.
    async fn store(&self, events: &[SerializedEvent]) -> Result<(), PersistenceError> {
        let Some(first) = events.first() else { return Ok(()) };
        let organization = first.metadata.get(ORGANIZATION).and_then(Value::as_str);
        let organization = organization.and_then(|id| Uuid::parse_str(id).ok());
        let organization_id = organization.ok_or_else(|| {
            PersistenceError::UnknownError("the metadata name no organization".into())
        })?;
        let mut transaction =
            self.store.write.begin().await.map_err(|error| persistence(error.into()))?;
        let stored = append(&mut transaction, organization_id, events).await?;
        for event in &stored {
            self.writer.write(&mut transaction, event).await.map_err(persistence)?;
        }
        transaction.commit().await.map_err(|error| persistence(error.into()))
    }
}

/// Appends events of one aggregate that follow each other.
async fn append(
    transaction: &mut PgConnection,
    organization_id: Uuid,
    events: &[SerializedEvent],
) -> Result<Vec<StoredEvent>, PersistenceError> {
    let Some(first) = events.first() else { return Ok(Vec::new()) };
    let expected = first.sequence as i64 - 1;
    let text =
        |part: fn(&SerializedEvent) -> String| -> Vec<String> { events.iter().map(part).collect() };
    let numbers: Vec<i64> = (1..).take(events.len()).collect();
    let conflicts: Vec<i64> = sqlx::query_scalar(
        "select conflicts from events_append(
             array[$1]::text[], array[$2]::text[], array[$3]::bigint[], array[$4]::uuid[],
             array[null]::text[], array[null]::text[], array[null]::bigint[],
             array_fill(1::bigint, array[cardinality($5::bigint[])]), $5, $6, $7, $8, $9)",
    )
    .bind(&first.aggregate_type)
    .bind(&first.aggregate_id)
    .bind(expected)
    .bind(organization_id)
    .bind(numbers)
    .bind(text(|event| event.event_type.clone()))
    .bind(text(|event| event.event_version.clone()))
    .bind(text(|event| event.payload.to_string()))
    .bind(text(|event| event.metadata.to_string()))
    .fetch_one(&mut *transaction)
    .await
    .map_err(|error| persistence(error.into()))?;
    if !conflicts.is_empty() {
        return Err(PersistenceError::OptimisticLockError);
    }
    let rows = sqlx::query(
        "select position, recorded_at from events
         where aggregate_type = $1 and aggregate_id = $2 and sequence > $3 order by sequence",
    )
    .bind(&first.aggregate_type)
    .bind(&first.aggregate_id)
    .bind(expected)
    .fetch_all(&mut *transaction)
    .await
    .map_err(|error| persistence(error.into()))?;
    let stored = rows.iter().zip(events).map(|(row, event)| {
        Ok(StoredEvent {
            position: Position(row.try_get("position")?),
            recorded_at: row.try_get("recorded_at")?,
            organization_id: OrganizationId(organization_id),
            serialized: event.clone(),
        })
    });
    stored.collect::<Result<_, sqlx::Error>>().map_err(|error| persistence(error.into()))
}

/// A stored event as the framework has it: with its name around its fields.
fn serialized(stored: EventWithMetadata) -> Result<SerializedEvent, PersistenceError> {
    let EventWithMetadata { event, metadata } = stored;
    let fields: Value = serde_json::from_str(event.payload.get())?;
    let payload = Map::from_iter([(event.event_type.clone(), fields)]);
    Ok(SerializedEvent {
        aggregate_id: event.aggregate_id,
        sequence: usize::try_from(event.sequence).unwrap_or_default(),
        aggregate_type: event.aggregate_type,
        event_type: event.event_type,
        event_version: event.event_version,
        payload: Value::Object(payload),
        metadata: serde_json::from_str(metadata.get())?,
    })
}

fn persistence(error: StoreError) -> PersistenceError {
    match error {
        StoreError::VersionConflict(_) => PersistenceError::OptimisticLockError,
        error if error.is_away() => PersistenceError::ConnectionError(Box::new(error)),
        error => PersistenceError::UnknownError(Box::new(error)),
    }
}

impl<W: RowWriter> PersistedEventRepository for AggregateRepository<W> {
    async fn get_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.read(A::TYPE, aggregate_id, 0).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.read(A::TYPE, aggregate_id, last_sequence as i64).await
    }

    /// None: these aggregates have few events.
    async fn get_snapshot<A: Aggregate>(
        &self,
        _aggregate_id: &str,
    ) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    async fn persist<A: Aggregate>(
        &self,
        events: &[SerializedEvent],
        _snapshot_update: Option<(String, Value, usize)>,
    ) -> Result<(), PersistenceError> {
        self.store(events).await
    }

    async fn stream_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
    ) -> Result<ReplayStream, PersistenceError> {
        let events = self.read(A::TYPE, aggregate_id, 0).await?;
        let (mut feed, stream) = ReplayStream::new(events.len().max(1));
        for event in events {
            feed.push(Ok(event)).await?;
        }
        Ok(stream)
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        let (feed, stream) = ReplayStream::new(AHEAD);
        tokio::spawn(feed_all(self.store.read.clone(), A::TYPE, feed));
        Ok(stream)
    }
}

/// Feeds the events of all aggregates of a type into a stream, until it ends or nobody reads it any more.
async fn feed_all(pool: PgPool, aggregate_type: &'static str, mut feed: ReplayFeed) {
    let (mut id, mut sequence) = (String::new(), 0);
    loop {
        let page = read_page_with_metadata(&pool, aggregate_type, (&id, sequence), PAGE).await;
        let (events, is_last) = match page {
            Ok(page) => {
                let is_last = (page.len() as i64) < PAGE;
                if let Some(last) = page.last() {
                    (id, sequence) = (last.event.aggregate_id.clone(), last.event.sequence);
                }
                (page.into_iter().map(serialized).collect::<Vec<_>>(), is_last)
            }
            Err(error) => (vec![Err(persistence(error))], true),
        };
        for event in events {
            if feed.push(event).await.is_err() {
                return;
            }
        }
        if is_last {
            return;
        }
    }
}
