//! Results that are themselves at fault. They are set aside in the transaction that passes them.

use pulsetrail_domain::OrganizationId;
use pulsetrail_infra::dead_letters::Letter;
pub(super) use pulsetrail_infra::dead_letters::Reason;
use pulsetrail_infra::store::{DecodeError, Event, StoreError};
use rdkafka::message::OwnedMessage;
use sqlx::PgConnection;
use uuid::Uuid;

use super::RECORDER;

/// A message to be set aside, with its origin.
pub(super) struct DeadLetter(Letter);

impl DeadLetter {
    pub(super) fn new(
        origin: &OwnedMessage,
        organization_id: Option<OrganizationId>,
        reason: Reason,
        detail: impl AsRef<str>,
    ) -> Self {
        Self(Letter::of_message(RECORDER, origin, organization_id, reason, detail))
    }

    /// An event that was met in a search for late results and cannot be read.
    pub(super) fn of_event(event: &Event, error: &DecodeError) -> Self {
        Self(Letter::of_event(RECORDER, event, error))
    }

    /// Why it is dead, as a stable code.
    #[cfg(test)]
    pub(super) fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The letter that its message is a retry of.
    pub(super) fn retry_of(&self) -> Option<Uuid> {
        self.0.retry_of
    }

    /// Writes it, once however often its message is delivered.
    pub(super) async fn save(&self, transaction: &mut PgConnection) -> Result<(), StoreError> {
        self.0.save(transaction).await?;
        Ok(())
    }
}
