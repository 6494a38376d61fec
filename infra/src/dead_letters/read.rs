//! Reading dead letters.

use pulsetrail_domain::{OrganizationId, Position, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::letter::{Letter, Origin};
use super::shown::Shown;
use crate::store::StoreError;

/// Whose dead letters are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of one organization.
    Organization(OrganizationId),
    /// Those of one organization, and those of none: for who runs the installation and is one of its
    /// members.
    OrganizationAndNone(OrganizationId),
    /// All of them: for who has the installation itself in hand.
    Everything,
}

impl Scope {
    /// Which rows: `$1` is the organization, `$2` whether those of none belong to it.
    const CONDITION: &'static str =
        "($1::uuid is null or organization_id = $1 or $2 and organization_id is null)";

    fn parameters(self) -> (Option<Uuid>, bool) {
        match self {
            Self::Organization(id) => (Some(id.0), false),
            Self::OrganizationAndNone(id) => (Some(id.0), true),
            Self::Everything => (None, true),
        }
    }
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterStatus {
    /// It waits for somebody to look at it.
    Dead,
    /// It was tried again, and has not failed since.
    Retried,
    /// It was tried again and had its effect.
    Resolved,
}

/// A dead letter as it is kept.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StoredLetter {
    /// What became of it.
    pub status: LetterStatus,
    /// What failed; `failed_at` is when it did last.
    #[serde(flatten)]
    pub letter: Letter,
    /// How often it failed.
    pub failures: i32,
    /// When it failed first.
    pub created_at: Timestamp,
    /// When somebody asked for it to be tried again last.
    pub retried_at: Option<Timestamp>,
    /// Who did.
    pub retried_by: Option<String>,
    /// When a retry was seen to have its effect.
    pub resolved_at: Option<Timestamp>,
}

const COLUMNS: &str =
    "dead_letter_id, organization_id, consumer, topic, partition, \"offset\", position,
    reason, detail, key, payload, headers::text as headers, content_missing, failures, created_at,
    failed_at, retried_at, retried_by, resolved_at";

impl StoredLetter {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let origin = match row.try_get::<Option<i64>, _>("position")? {
            Some(position) => Origin::Event { position: Position(position) },
            None => Origin::Message {
                topic: row.try_get("topic")?,
                partition: row.try_get("partition")?,
                offset: row.try_get("offset")?,
            },
        };
        let bytes = |column| -> Result<Option<Shown>, sqlx::Error> {
            Ok(row.try_get::<Option<Vec<u8>>, _>(column)?.as_deref().map(Shown::of))
        };
        let failed_at: Timestamp = row.try_get("failed_at")?;
        let retried_at: Option<Timestamp> = row.try_get("retried_at")?;
        let resolved_at: Option<Timestamp> = row.try_get("resolved_at")?;
        let status = match (resolved_at, retried_at) {
            (Some(_), _) => LetterStatus::Resolved,
            (None, Some(retried_at)) if retried_at > failed_at => LetterStatus::Retried,
            _ => LetterStatus::Dead,
        };
        let letter = Letter {
            id: row.try_get("dead_letter_id")?,
            organization_id: row.try_get::<Option<Uuid>, _>("organization_id")?.map(OrganizationId),
            consumer: row.try_get("consumer")?,
            origin,
            reason: row.try_get("reason")?,
            detail: row.try_get("detail")?,
            key: bytes("key")?,
            payload: bytes("payload")?,
            headers: serde_json::from_str(row.try_get("headers")?)
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            content_missing: row.try_get("content_missing")?,
            retry_of: None,
            failed_at,
        };
        Ok(Self {
            status,
            letter,
            failures: row.try_get("failures")?,
            created_at: row.try_get("created_at")?,
            retried_at,
            retried_by: row.try_get("retried_by")?,
            resolved_at,
        })
    }
}

/// At most `limit` dead letters, newest first: those before the given id, where one is given.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn list(
    executor: impl PgExecutor<'_>,
    scope: Scope,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<StoredLetter>, StoreError> {
    let condition = Scope::CONDITION;
    let query = format!(
        "select {COLUMNS} from dead_letters
         where {condition} and ($3::uuid is null or dead_letter_id < $3)
         order by dead_letter_id desc limit $4"
    );
    let (organization, unowned) = scope.parameters();
    let rows = sqlx::query(&query)
        .bind(organization)
        .bind(unowned)
        .bind(before)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    Ok(rows.iter().map(StoredLetter::from_row).collect::<Result<_, _>>()?)
}

/// One dead letter; none where there is none in that scope.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn show(
    executor: impl PgExecutor<'_>,
    scope: Scope,
    id: Uuid,
) -> Result<Option<StoredLetter>, StoreError> {
    let condition = Scope::CONDITION;
    let query =
        format!("select {COLUMNS} from dead_letters where dead_letter_id = $3 and {condition}");
    let (organization, unowned) = scope.parameters();
    let row = sqlx::query(&query)
        .bind(organization)
        .bind(unowned)
        .bind(id)
        .fetch_optional(executor)
        .await?;
    Ok(row.as_ref().map(StoredLetter::from_row).transpose()?)
}

/// The letters that are not in the topic yet, those that failed first before the others.
pub(super) async fn to_copy(
    executor: impl PgExecutor<'_>,
    limit: i64,
) -> Result<Vec<StoredLetter>, StoreError> {
    let query = format!(
        "select {COLUMNS} from dead_letters where copied_at is null order by failed_at limit $1"
    );
    let rows = sqlx::query(&query).bind(limit).fetch_all(executor).await?;
    Ok(rows.iter().map(StoredLetter::from_row).collect::<Result<_, _>>()?)
}
