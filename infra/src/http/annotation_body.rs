//! An annotation as callers see it: the same after a command and in a list.

use pulsetrail_domain::annotation::{AnnotationError, AnnotationKind};
use pulsetrail_domain::{AnnotationId, MonitorId, OrganizationId, Position, Timestamp, UserId};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};

use super::Problem;

/// The columns that [`AnnotationBody::from_row`] reads, out of `annotations`.
pub const ANNOTATION_COLUMNS: &str =
    "annotation_id, monitor_id, from_at, to_at, kind, note, made_by, made_at, position";

/// What somebody said about a time of a monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Annotation")]
pub struct AnnotationBody {
    /// The annotation.
    pub id: AnnotationId,
    /// The monitor.
    pub monitor_id: MonitorId,
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
    /// What it was.
    pub kind: AnnotationKind,
    /// Why, for people.
    pub note: String,
    /// The person who made it.
    pub made_by: Option<UserId>,
    /// When it was made.
    pub made_at: Timestamp,
    /// Where in the log it was made.
    pub position: Position,
}

impl AnnotationBody {
    /// Out of a row with [`ANNOTATION_COLUMNS`].
    ///
    /// # Errors
    /// If a column is not what the table's are.
    pub fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let kind: String = row.try_get("kind")?;
        let kind = serde_json::from_value(kind.into())
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Self {
            id: AnnotationId(row.try_get("annotation_id")?),
            monitor_id: MonitorId(row.try_get("monitor_id")?),
            from: row.try_get("from_at")?,
            to: row.try_get("to_at")?,
            kind,
            note: row.try_get("note")?,
            made_by: row.try_get::<Option<_>, _>("made_by")?.map(UserId),
            made_at: row.try_get("made_at")?,
            position: Position(row.try_get("position")?),
        })
    }
}

/// The annotation of an organization, and whether it still stands; none if there is no such one.
///
/// # Errors
/// When Postgres does not answer.
pub async fn load_annotation(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    annotation_id: AnnotationId,
) -> Result<Option<(AnnotationBody, bool)>, sqlx::Error> {
    let query = format!(
        "select {ANNOTATION_COLUMNS}, withdrawn_position is null as stands from annotations
         where annotation_id = $1 and organization_id = $2"
    );
    let row = sqlx::query(&query)
        .bind(annotation_id.0)
        .bind(organization_id.0)
        .fetch_optional(executor)
        .await?;
    row.map(|row| Ok((AnnotationBody::from_row(&row)?, row.try_get("stands")?))).transpose()
}

impl From<AnnotationError> for Problem {
    fn from(error: AnnotationError) -> Self {
        use axum::http::StatusCode;
        match error {
            AnnotationError::AlreadyMade => {
                Self::new(StatusCode::CONFLICT, "already_exists", "The annotation exists already.")
            }
            AnnotationError::NotFound => Self::not_found(),
            AnnotationError::Invalid(violations) => Self::invalid(violations),
        }
    }
}
