//! Aggregates of low volume, run by `CqrsFramework`. A command is decided by the aggregate from its events;
//! the new events and the rows that belong to them are stored in one transaction.
//!
//! An aggregate needs a [`RowWriter`], which stores its rows, and an [`Aggregates`], which takes its
//! commands. No `cqrs_es::Query` writes state: it would run after the commit, and be lost in a crash.

mod repository;

use std::collections::HashMap;

use cqrs_es::persist::PersistedEventStore;
use cqrs_es::{Aggregate, AggregateError, CqrsFramework};

pub use repository::{AggregateRepository, RowWriter, StoredEvent};

use crate::store::Store;

/// Commands are decided anew this often when the aggregate has moved on meanwhile.
const ATTEMPTS: usize = 5;
/// Where the metadata name the organization that the events belong to.
pub const ORGANIZATION: &str = "organization_id";

/// Takes the commands of one kind of aggregate.
pub struct Aggregates<A: Aggregate, W: RowWriter> {
    framework: CqrsFramework<A, PersistedEventStore<AggregateRepository<W>, A>>,
}

impl<A, W> Aggregates<A, W>
where
    A: Aggregate<Command: Clone, Services: Default>,
    W: RowWriter,
{
    /// Over a store, with what writes the rows of these aggregates.
    #[must_use]
    pub fn new(store: Store, writer: W) -> Self {
        let repository = AggregateRepository::new(store, writer);
        let store = PersistedEventStore::new_event_store(repository);
        Self { framework: CqrsFramework::new(store, Vec::new(), A::Services::default()) }
    }

    /// Carries a command out. The metadata say who asked, and must name the organization
    /// ([`ORGANIZATION`]).
    ///
    /// # Errors
    /// [`AggregateError::UserError`] if the aggregate refuses the command;
    /// [`AggregateError::AggregateConflict`] if it moves on each time that it is decided; the others if the
    /// store does not answer, or holds what this version does not know. Nothing is stored then.
    pub async fn execute(
        &self,
        aggregate_id: &str,
        command: A::Command,
        metadata: &HashMap<String, String>,
    ) -> Result<(), AggregateError<A::Error>> {
        for _ in 1..ATTEMPTS {
            let attempt = self.framework.execute_with_metadata(
                aggregate_id,
                command.clone(),
                metadata.clone(),
            );
            match attempt.await {
                Err(AggregateError::AggregateConflict) => {}
                outcome => return outcome,
            }
        }
        self.framework.execute_with_metadata(aggregate_id, command, metadata.clone()).await
    }
}
