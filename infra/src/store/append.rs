//! The batch append: many aggregates in one transaction, each at its expected version.

use pulsetrail_domain::health::HealthEvent;
use pulsetrail_domain::monitor::MonitorEvent;
use pulsetrail_domain::{MonitorId, OrganizationId, Position};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::StoreError;
use super::compact::{compact, is_compact};

/// One event to be stored.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its name.
    pub event_type: &'static str,
    /// The version of its shape.
    pub event_version: &'static str,
    /// Its own fields, as JSON.
    pub payload: String,
}

impl NewEvent {
    /// An event of a monitor's health, as it is stored: its own fields without its name, and those of
    /// a check in their compact form.
    ///
    /// # Errors
    /// None for the events that there are; serde's signature asks for it.
    pub fn health(monitor: MonitorId, event: &HealthEvent) -> Result<Self, serde_json::Error> {
        let (event_type, event_version) = (event.name(), event.version());
        let compact = match event {
            HealthEvent::CheckCompleted(result) if is_compact(event_type, event_version) => {
                compact(monitor, result)
            }
            _ => None,
        };
        let payload = match compact {
            Some(payload) => payload,
            None => own_fields(event)?,
        };
        Ok(Self { event_type, event_version, payload })
    }

    /// An event of a monitor, as `postgres-es` stores it: with its name around its fields.
    ///
    /// # Errors
    /// None for the events that there are; serde's signature asks for it.
    pub fn monitor(event: &MonitorEvent) -> Result<Self, serde_json::Error> {
        let (event_type, event_version) = (event.name(), event.version());
        Ok(Self { event_type, event_version, payload: serde_json::to_string(event)? })
    }
}

/// The fields of an event without its name around them.
fn own_fields(event: &HealthEvent) -> Result<String, serde_json::Error> {
    let tagged = serde_json::to_string(event)?;
    let own = tagged
        .strip_prefix("{\"")
        .and_then(|rest| rest.strip_prefix(event.name()))
        .and_then(|rest| rest.strip_prefix("\":"))
        .and_then(|rest| rest.strip_suffix('}'));
    Ok(own.unwrap_or(&tagged).to_owned())
}

/// An aggregate whose version a decision depended on besides its own.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The kind of aggregate.
    pub aggregate_type: &'static str,
    /// Which one.
    pub aggregate_id: String,
    /// The version that the decision was made from.
    pub expected: i64,
}

/// The events of one aggregate.
#[derive(Clone, Debug)]
pub struct Append {
    /// The kind of aggregate.
    pub aggregate_type: &'static str,
    /// Which one.
    pub aggregate_id: String,
    /// Whom it belongs to.
    pub organization_id: OrganizationId,
    /// The version that the events were decided from; none for a stream without invariants, which
    /// takes whatever comes next.
    pub expected: Option<i64>,
    /// What else must not have moved.
    pub guard: Option<Guard>,
    /// What to store, in order; not empty.
    pub events: Vec<NewEvent>,
}

/// What became of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AppendOutcome {
    /// The places in the batch whose aggregate, or guard, was at another version. Nothing of them was
    /// stored; everything else was.
    pub conflicts: Vec<usize>,
    /// The aggregates that others appended to since the position that the writer named. None where it
    /// named none, or where they are too many: it may know nothing of any aggregate any more.
    pub moved: Option<Vec<String>>,
    /// Where the log ended with the batch in it: the position to name next time, once what moved is
    /// forgotten.
    pub reached: Position,
}

/// Stores a batch in the order given. An aggregate may stand in a batch once. With a pool it is a
/// transaction of its own; with a connection it is part of the caller's.
///
/// It is one call of `events_append`, which takes the lock in a statement of its own: one taken inside
/// the insert would not renew that statement's snapshot, and a head written meanwhile would be missed.
///
/// # Errors
/// [`StoreError::Database`]; then nothing is stored once the transaction is dropped. A version conflict
/// is never one of them, so that a unique violation is always something else.
pub async fn append_batch(
    executor: impl PgExecutor<'_>,
    batch: &[Append],
) -> Result<AppendOutcome, StoreError> {
    Rows::of(batch).store(executor, None).await
}

/// As [`append_batch`], for a writer that knows each expected version, and guard, to have been the head
/// when the log ended at `known_through`, or later. Only what others appended since is compared with
/// what is expected, and so it takes about as long as the insert alone.
///
/// # Errors
/// As [`append_batch`]. [`StoreError::VersionConflict`] where the writer was wrong about what it knows.
pub async fn append_batch_after(
    executor: impl PgExecutor<'_>,
    batch: &[Append],
    known_through: Position,
) -> Result<AppendOutcome, StoreError> {
    Rows::of(batch).store(executor, Some(known_through)).await
}

/// A batch column by column: one row an aggregate, and one an event.
#[derive(Default)]
struct Rows<'a> {
    aggregate_types: Vec<&'a str>,
    aggregate_ids: Vec<&'a str>,
    expected: Vec<Option<i64>>,
    organizations: Vec<Uuid>,
    guard_types: Vec<Option<&'a str>>,
    guard_ids: Vec<Option<&'a str>>,
    guards_expected: Vec<Option<i64>>,
    /// The place of each event's aggregate in the batch, from 1, and its number in that append.
    places: Vec<i64>,
    numbers: Vec<i64>,
    event_types: Vec<&'a str>,
    event_versions: Vec<&'a str>,
    payloads: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a [Append]) -> Self {
        let mut rows = Self::default();
        for (place, append) in (1..).zip(batch) {
            let guard = append.guard.as_ref();
            rows.aggregate_types.push(append.aggregate_type);
            rows.aggregate_ids.push(&append.aggregate_id);
            rows.expected.push(append.expected);
            rows.organizations.push(append.organization_id.0);
            rows.guard_types.push(guard.map(|guard| guard.aggregate_type));
            rows.guard_ids.push(guard.map(|guard| guard.aggregate_id.as_str()));
            rows.guards_expected.push(guard.map(|guard| guard.expected));
            for (number, event) in (1..).zip(&append.events) {
                rows.places.push(place);
                rows.numbers.push(number);
                rows.event_types.push(event.event_type);
                rows.event_versions.push(event.event_version);
                rows.payloads.push(&event.payload);
            }
        }
        rows
    }

    /// Stores the events of each aggregate that is, with its guard, at the expected version.
    async fn store(
        self,
        executor: impl PgExecutor<'_>,
        known_through: Option<Position>,
    ) -> Result<AppendOutcome, StoreError> {
        let (conflicts, moved, reached): (Vec<i64>, Option<Vec<String>>, i64) = sqlx::query_as(
            "select * from events_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, null, $13)",
        )
        .bind(self.aggregate_types)
        .bind(self.aggregate_ids)
        .bind(self.expected)
        .bind(self.organizations)
        .bind(self.guard_types)
        .bind(self.guard_ids)
        .bind(self.guards_expected)
        .bind(self.places)
        .bind(self.numbers)
        .bind(self.event_types)
        .bind(self.event_versions)
        .bind(self.payloads)
        .bind(known_through.map(|position| position.0))
        .fetch_one(executor)
        .await?;
        let places = conflicts.into_iter().filter_map(|place| usize::try_from(place - 1).ok());
        Ok(AppendOutcome { conflicts: places.collect(), moved, reached: Position(reached) })
    }
}
