//! Messages that are themselves at fault. They are set aside in the transaction that passes them.

use pulsetrail_domain::OrganizationId;
use pulsetrail_infra::store::StoreError;
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::RECORDER;

/// Why a message can have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is not what its topic carries.
    Malformed,
    /// It is about a monitor that does not exist.
    UnknownMonitor,
    /// It is about a monitor of another organization than it says.
    OrganizationMismatch,
    /// The monitor's history cannot be read by this version.
    UnreadableHistory,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownMonitor => "unknown_monitor",
            Self::OrganizationMismatch => "organization_mismatch",
            Self::UnreadableHistory => "unreadable_history",
        }
    }
}

/// A message to be set aside, with its origin.
pub(super) struct DeadLetter {
    origin: OwnedMessage,
    organization_id: Option<OrganizationId>,
    reason: Reason,
    detail: String,
}

impl DeadLetter {
    pub(super) fn new(
        origin: &OwnedMessage,
        organization_id: Option<OrganizationId>,
        reason: Reason,
        detail: impl Into<String>,
    ) -> Self {
        Self { origin: origin.clone(), organization_id, reason, detail: detail.into() }
    }

    /// Writes it, once however often its message is delivered.
    pub(super) async fn save(&self, transaction: &mut PgConnection) -> Result<(), StoreError> {
        let saved = sqlx::query(
            "insert into dead_letters (dead_letter_id, organization_id, consumer, topic, partition,
                                       \"offset\", reason, detail, key, payload, headers)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             on conflict (consumer, topic, partition, \"offset\") do nothing",
        )
        .bind(Uuid::now_v7())
        .bind(self.organization_id.map(|id| id.0))
        .bind(RECORDER)
        .bind(self.origin.topic())
        .bind(self.origin.partition())
        .bind(self.origin.offset())
        .bind(self.reason.as_str())
        .bind(&self.detail)
        .bind(self.origin.key())
        .bind(self.origin.payload())
        .bind(Json(self.headers()))
        .execute(transaction)
        .await?;
        if saved.rows_affected() == 1 {
            pulsetrail_infra::metrics::dead_letter(RECORDER);
            tracing::warn!(
                kafka.topic = self.origin.topic(),
                kafka.partition = self.origin.partition(),
                kafka.offset = self.origin.offset(),
                dead_letter.reason = self.reason.as_str(),
                dead_letter.detail = self.detail,
                "a result was set aside as a dead letter"
            );
        }
        Ok(())
    }

    fn headers(&self) -> serde_json::Map<String, Value> {
        let headers = self.origin.headers().into_iter().flat_map(Headers::iter);
        headers
            .map(|header| {
                let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
                (header.key.to_owned(), Value::from(value))
            })
            .collect()
    }
}
