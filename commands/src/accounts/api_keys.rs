//! API keys: programs that act for an organization.

use pulsetrail_domain::access::OrganizationEvent;
use pulsetrail_domain::{ApiKeyId, OrganizationId, Role, Timestamp, UserId};
use pulsetrail_infra::store::append_access;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, PgPool, Row};

use super::Metadata;
use super::secret::Secret;
use super::tables::{AccountFailure, stored_role};

/// An API key, without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ApiKey {
    /// The key.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// What it may do, as far as who made it may.
    pub role: Role,
    /// The last characters of its secret.
    pub hint: String,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute; null for never.
    pub last_used_at: Option<Timestamp>,
}

/// A key that is to be made.
pub struct NewApiKey {
    /// Its id, made by the caller.
    pub id: ApiKeyId,
    /// Whom it acts for.
    pub organization_id: OrganizationId,
    /// Who makes it.
    pub created_by: UserId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

const COLUMNS: &str =
    "api_key_id, name, role, hint, created_by, created_at, expires_at, last_used_at";

/// Makes a key. The secret is told here and never again.
///
/// # Errors
/// When Postgres does not answer.
pub async fn create_api_key(
    pool: &PgPool,
    new: NewApiKey,
    metadata: &Metadata,
) -> Result<(ApiKey, String), AccountFailure> {
    let secret = Secret::api_key();
    let mut transaction = pool.begin().await?;
    let query = format!(
        "insert into api_keys (api_key_id, organization_id, created_by, name, role, secret_hash,
                               hint, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8) returning {COLUMNS}"
    );
    let row = sqlx::query(&query)
        .bind(new.id.0)
        .bind(new.organization_id.0)
        .bind(new.created_by.0)
        .bind(new.name)
        .bind(new.role.as_str())
        .bind(secret.hash())
        .bind(secret.hint())
        .bind(new.expires_at)
        .fetch_one(&mut *transaction)
        .await?;
    let key = api_key(&row)?;
    let event = OrganizationEvent::ApiKeyCreated {
        api_key_id: key.id,
        role: key.role,
        expires_at: key.expires_at,
    };
    let events = [(new.organization_id.0, event.into())];
    append_access(&mut transaction, new.organization_id, &events, metadata).await?;
    transaction.commit().await?;
    Ok((key, secret.reveal()))
}

/// The keys of an organization that are not revoked, by id, those after `after`.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list_api_keys(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    after: Option<uuid::Uuid>,
    limit: i64,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from api_keys
         where organization_id = $1 and revoked_at is null
           and ($2::uuid is null or api_key_id > $2)
         order by api_key_id limit $3"
    );
    let rows = sqlx::query(&query)
        .bind(organization_id.0)
        .bind(after)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    rows.iter().map(api_key).collect()
}

/// Revokes a key: the next request with it is refused, on every server. Says whether there was one.
///
/// # Errors
/// When Postgres does not answer.
pub async fn revoke_api_key(
    pool: &PgPool,
    organization_id: OrganizationId,
    api_key_id: ApiKeyId,
    metadata: &Metadata,
) -> Result<bool, AccountFailure> {
    let mut transaction = pool.begin().await?;
    let revoked = sqlx::query(
        "update api_keys set revoked_at = clock_timestamp()
         where api_key_id = $1 and organization_id = $2 and revoked_at is null",
    )
    .bind(api_key_id.0)
    .bind(organization_id.0)
    .execute(&mut *transaction)
    .await?;
    if revoked.rows_affected() == 0 {
        return Ok(false);
    }
    let events = [(organization_id.0, OrganizationEvent::ApiKeyRevoked { api_key_id }.into())];
    append_access(&mut transaction, organization_id, &events, metadata).await?;
    transaction.commit().await?;
    Ok(true)
}

fn api_key(row: &PgRow) -> Result<ApiKey, sqlx::Error> {
    Ok(ApiKey {
        id: ApiKeyId(row.try_get("api_key_id")?),
        name: row.try_get("name")?,
        role: stored_role(row)?,
        hint: row.try_get("hint")?,
        created_by: UserId(row.try_get("created_by")?),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
    })
}
