//! The batch append: many aggregates in one transaction, each at its expected version.

use std::collections::HashMap;

use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::health::HealthEvent;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{APPEND_LOCK, StoreError};

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
    /// An event of a monitor's health, as it is stored: its own fields without its name.
    ///
    /// # Errors
    /// None for the events that there are; serde's signature asks for it.
    pub fn health(event: &HealthEvent) -> Result<Self, serde_json::Error> {
        let tagged = serde_json::to_string(event)?;
        let own = tagged
            .strip_prefix("{\"")
            .and_then(|rest| rest.strip_prefix(event.name()))
            .and_then(|rest| rest.strip_prefix("\":"))
            .and_then(|rest| rest.strip_suffix('}'));
        Ok(Self {
            event_type: event.name(),
            event_version: event.version(),
            payload: own.unwrap_or(&tagged).to_owned(),
        })
    }
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
}

/// Stores a batch in the order given, within the caller's transaction. An aggregate may stand in a
/// batch once.
///
/// The lock is taken in a statement of its own: one taken inside the insert would not renew that
/// statement's snapshot, and a head written meanwhile would be missed.
///
/// # Errors
/// [`StoreError::Database`]; then nothing is stored once the transaction is dropped.
pub async fn append_batch(
    transaction: &mut PgConnection,
    batch: &[Append],
) -> Result<AppendOutcome, StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(APPEND_LOCK)
        .execute(&mut *transaction)
        .await?;
    let heads = heads(transaction, batch).await?;
    let head = |aggregate_type, aggregate_id: &str| {
        heads.get(&(aggregate_type, aggregate_id)).copied().unwrap_or_default()
    };
    let mut outcome = AppendOutcome::default();
    let mut rows = Rows::default();
    for (place, append) in batch.iter().enumerate() {
        let current = head(append.aggregate_type, &append.aggregate_id);
        let guard_moved = append
            .guard
            .as_ref()
            .is_some_and(|guard| head(guard.aggregate_type, &guard.aggregate_id) != guard.expected);
        if guard_moved || append.expected.is_some_and(|expected| expected != current) {
            outcome.conflicts.push(place);
        } else {
            rows.push(append, current);
        }
    }
    rows.insert(transaction).await?;
    Ok(outcome)
}

type AggregateKey<'a> = (&'a str, &'a str);

async fn heads<'a>(
    transaction: &mut PgConnection,
    batch: &'a [Append],
) -> Result<HashMap<AggregateKey<'a>, i64>, StoreError> {
    let keys: Vec<AggregateKey<'a>> = batch
        .iter()
        .flat_map(|append| {
            let guard = append.guard.as_ref();
            let guard = guard.map(|guard| (guard.aggregate_type, guard.aggregate_id.as_str()));
            std::iter::once((append.aggregate_type, append.aggregate_id.as_str())).chain(guard)
        })
        .collect();
    let (types, ids): (Vec<&str>, Vec<&str>) = keys.iter().copied().unzip();
    // `order by … limit 1` instead of `max`: one descent of the primary key for each.
    let heads: Vec<(i64, i64)> = sqlx::query_as(
        "select wanted.place, newest.sequence
         from unnest($1::text[], $2::text[]) with ordinality as wanted (type, id, place)
         cross join lateral (
             select sequence from events
             where aggregate_type = wanted.type and aggregate_id = wanted.id
             order by sequence desc limit 1
         ) as newest",
    )
    .bind(types)
    .bind(ids)
    .fetch_all(transaction)
    .await?;
    let place = |place: i64| usize::try_from(place - 1).ok().and_then(|place| keys.get(place));
    Ok(heads
        .into_iter()
        .filter_map(|(at, sequence)| place(at).map(|key| (*key, sequence)))
        .collect())
}

/// The rows of a batch, column by column.
#[derive(Default)]
struct Rows<'a> {
    aggregate_types: Vec<&'a str>,
    aggregate_ids: Vec<&'a str>,
    sequences: Vec<i64>,
    organizations: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_versions: Vec<&'a str>,
    payloads: Vec<&'a str>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, append: &'a Append, current: i64) {
        for (sequence, event) in (current + 1..).zip(&append.events) {
            self.aggregate_types.push(append.aggregate_type);
            self.aggregate_ids.push(&append.aggregate_id);
            self.sequences.push(sequence);
            self.organizations.push(append.organization_id.0);
            self.event_types.push(event.event_type);
            self.event_versions.push(event.event_version);
            self.payloads.push(&event.payload);
        }
    }

    async fn insert(self, transaction: &mut PgConnection) -> Result<(), StoreError> {
        if self.sequences.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                                 event_type, event_version, payload, metadata)
             select type, id, sequence, organization, name, version, payload::json, '{}'
             from unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[],
                         $5::text[], $6::text[], $7::text[]) with ordinality
                  as new (type, id, sequence, organization, name, version, payload, place)
             order by place",
        )
        .bind(self.aggregate_types)
        .bind(self.aggregate_ids)
        .bind(self.sequences)
        .bind(self.organizations)
        .bind(self.event_types)
        .bind(self.event_versions)
        .bind(self.payloads)
        .execute(transaction)
        .await?;
        Ok(())
    }
}
