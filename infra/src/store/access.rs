//! Appending what people do to access, in the transaction that does it.

use std::collections::HashMap;

use pulsetrail_domain::OrganizationId;
use pulsetrail_domain::access::AccessEvent;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{APPEND_LOCK, StoreError};

/// Appends events of one account or one organization, which take whatever sequence comes next. The
/// lock of the log is held from here to the end of the transaction: this is its last statement.
///
/// # Errors
/// [`StoreError::Database`]; then nothing is stored once the transaction is dropped.
pub async fn append_access(
    transaction: &mut PgConnection,
    organization_id: OrganizationId,
    events: &[(Uuid, AccessEvent)],
    metadata: &HashMap<String, String>,
) -> Result<(), StoreError> {
    // In a statement of its own, so that the next one sees every sequence.
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(APPEND_LOCK)
        .execute(&mut *transaction)
        .await?;
    for (aggregate_id, event) in events {
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id,
                                 event_type, event_version, payload, metadata)
             select $1::text, $2::text, coalesce(max(sequence), 0) + 1, $3::uuid, $4::text,
                    $5::text, $6::json -> $4::text, $7::json
             from events where aggregate_type = $1 and aggregate_id = $2",
        )
        .bind(event.aggregate())
        .bind(aggregate_id.to_string())
        .bind(organization_id.0)
        .bind(event.name())
        .bind(event.version())
        .bind(Json(event))
        .bind(Json(metadata))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}
