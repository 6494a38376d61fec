//! Why the store did not do what was asked.

use super::DecodeError;

/// The primary key of the events: the same sequence of an aggregate was stored by somebody else.
const SEQUENCE: &str = "events_sequence";
/// The unique index over positions.
const POSITION: &str = "events_position";

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres refused or is away: try again later. Nothing was changed.
    #[error("the event store does not answer: {0}")]
    Database(#[source] sqlx::Error),
    /// The aggregate is not at the version that its next event was decided from: load it and decide
    /// again. Nothing was changed. A batch append reports its conflicts instead; this is for whoever
    /// inserts in another way.
    #[error("the aggregate has moved on: {0}")]
    VersionConflict(#[source] sqlx::Error),
    /// An event in the store cannot be read by this version: an operator must look.
    #[error("the event at position {position} cannot be read: {source}")]
    Unreadable {
        /// Where it is.
        position: i64,
        /// Why.
        source: DecodeError,
    },
    /// A schema that this version does not know, or that cannot be applied.
    #[error("the database's schema does not fit this version: {0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether the server is away, starting or stopping, which time mends. Anything else is a mistake in
    /// the settings, or in what was asked.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            // 57P: shut down, crashed, starting; 53300: too many connections for now.
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                code.starts_with("57P") || code == "53300"
            }
            _ => false,
        }
    }

    /// Whether the server is well and refuses what it was given: the values (SQLSTATE class 22), a
    /// constraint on them (23) or their size (54). Anything else says nothing about what was given; nor
    /// does a position that is taken, which nobody gives.
    #[must_use]
    pub fn blames_the_data(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Encode(_)) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                let blames = ["22", "23", "54"].iter().any(|class| code.starts_with(class));
                blames && error.constraint() != Some(POSITION)
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let violated = error.as_database_error().filter(|error| error.is_unique_violation());
        match violated.and_then(|error| error.constraint()) {
            Some(SEQUENCE) => Self::VersionConflict(error),
            _ => Self::Database(error),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Database(sqlx::Error::Encode(Box::new(error)))
    }
}
