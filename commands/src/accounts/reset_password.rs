//! Another password for a person who does not know theirs, set by whoever has the machine.

use pulsetrail_domain::UserId;
use pulsetrail_domain::access::AccountEvent;
use pulsetrail_infra::store::append_access;
use sqlx::PgPool;
use uuid::Uuid;

use super::operators::first_organization;
use super::tables::AccountFailure;
use super::{Email, Metadata};

/// Sets the password of the person who signs in with `email`, and ends all of their sessions. Their API
/// keys stay. Returns how many sessions ended.
///
/// # Errors
/// [`AccountFailure::NoSuchMember`] if nobody has the address, or Postgres does not answer.
pub async fn reset_password(
    pool: &PgPool,
    email: &Email,
    password_hash: &str,
    metadata: &Metadata,
) -> Result<u64, AccountFailure> {
    let mut transaction = pool.begin().await?;
    let user_id: Option<Uuid> = sqlx::query_scalar(
        "update users set password_hash = $2 where email = $1 returning user_id",
    )
    .bind(email.as_str())
    .bind(password_hash)
    .fetch_optional(&mut *transaction)
    .await?;
    let user_id = UserId(user_id.ok_or(AccountFailure::NoSuchMember)?);
    let ended = sqlx::query(
        "update sessions set revoked_at = clock_timestamp()
         where user_id = $1 and revoked_at is null and expires_at > clock_timestamp()",
    )
    .bind(user_id.0)
    .execute(&mut *transaction)
    .await?;
    let organization = first_organization(&mut transaction, user_id).await?;
    let events = [(user_id.0, AccountEvent::PasswordChanged {}.into())];
    let mut metadata = metadata.clone();
    metadata.insert("organization_id".to_owned(), organization.to_string());
    append_access(&mut transaction, organization, &events, &metadata).await?;
    transaction.commit().await?;
    Ok(ended.rows_affected())
}
