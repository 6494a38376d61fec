//! Who runs the installation. The first person who registers does; whoever has the machine names others.

use pulsetrail_domain::access::AccountEvent;
use pulsetrail_domain::{OrganizationId, UserId};
use pulsetrail_infra::store::append_access;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::tables::AccountFailure;
use super::{Email, Metadata};

/// Somebody who runs the installation.
#[derive(Clone, sqlx::FromRow)]
pub struct Operator {
    /// The address that they sign in with.
    pub email: String,
    /// Their name, if they gave one.
    pub name: Option<String>,
}

/// Those who run the installation, by their addresses.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list_operators(executor: impl PgExecutor<'_>) -> Result<Vec<Operator>, sqlx::Error> {
    sqlx::query_as("select email, name from users where operator order by email")
        .fetch_all(executor)
        .await
}

/// Says whether a person runs the installation: it counts from their next request on, at every server.
/// Returns whether that is a change.
///
/// # Errors
/// [`AccountFailure::NoSuchMember`] where nobody has the address, or Postgres does not answer.
pub async fn set_operator(
    pool: &PgPool,
    email: &Email,
    operator: bool,
    metadata: &Metadata,
) -> Result<bool, AccountFailure> {
    let mut transaction = pool.begin().await?;
    let before: Option<(Uuid, bool)> =
        sqlx::query_as("select user_id, operator from users where email = $1 for update")
            .bind(email.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
    let (user_id, before) = before.ok_or(AccountFailure::NoSuchMember)?;
    if before == operator {
        return Ok(false);
    }
    sqlx::query("update users set operator = $2 where user_id = $1")
        .bind(user_id)
        .bind(operator)
        .execute(&mut *transaction)
        .await?;
    let home = first_organization(&mut transaction, UserId(user_id)).await?;
    let event =
        if operator { AccountEvent::OperatorGranted {} } else { AccountEvent::OperatorRevoked {} };
    let events = [(user_id, event.into())];
    let mut metadata = metadata.clone();
    metadata.insert("organization_id".to_owned(), home.to_string());
    append_access(&mut transaction, home, &events, &metadata).await?;
    transaction.commit().await?;
    Ok(true)
}

/// The organization that a person joined first. What the command line does to their account is told there,
/// with their own events.
pub(super) async fn first_organization(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<OrganizationId, sqlx::Error> {
    let first = sqlx::query_scalar(
        "select organization_id from members where user_id = $1
         order by created_at, organization_id limit 1",
    );
    Ok(OrganizationId(first.bind(user_id.0).fetch_one(connection).await?))
}
