//! The rows of annotations, stored with their events.

use pulsetrail_domain::annotation::{Annotation, AnnotationEvent};
use pulsetrail_infra::aggregates::{Aggregates, RowWriter, StoredEvent};
use pulsetrail_infra::store::{Store, StoreError};
use sqlx::PgConnection;
use uuid::Uuid;

/// Takes commands to annotations.
pub type Annotations = Aggregates<Annotation, AnnotationRows>;

/// Takes commands to annotations in a store.
#[must_use]
pub fn annotations(store: Store) -> Annotations {
    Aggregates::new(store, AnnotationRows)
}

/// Writes `annotations`.
pub struct AnnotationRows;

impl RowWriter for AnnotationRows {
    async fn write(
        &self,
        transaction: &mut PgConnection,
        stored: &StoredEvent,
    ) -> Result<(), StoreError> {
        let annotation_id = stored.aggregate_id()?;
        match stored.event::<AnnotationEvent>()? {
            AnnotationEvent::SpanAnnotated { monitor_id, from, to, kind, note } => {
                // A fieldless variant is written as its name.
                let kind = serde_json::to_value(kind)?;
                let made_by = stored.metadata("actor").and_then(|id| Uuid::parse_str(id).ok());
                sqlx::query(
                    "insert into annotations (annotation_id, organization_id, monitor_id, from_at,
                        to_at, kind, note, made_by, made_at, position)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                )
                .bind(annotation_id)
                .bind(stored.organization_id.0)
                .bind(monitor_id.0)
                .bind(from)
                .bind(to)
                .bind(kind.as_str().unwrap_or_default())
                .bind(note)
                .bind(made_by)
                .bind(stored.recorded_at)
                .bind(stored.position.0)
                .execute(transaction)
                .await?;
            }
            AnnotationEvent::AnnotationWithdrawn {} => {
                sqlx::query(
                    "update annotations set withdrawn_position = $2 where annotation_id = $1",
                )
                .bind(annotation_id)
                .bind(stored.position.0)
                .execute(transaction)
                .await?;
            }
        }
        Ok(())
    }
}
