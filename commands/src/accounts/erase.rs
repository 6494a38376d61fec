//! Erasing a person: everything that is known of them goes, the log of what was done stays.

use pulsetrail_domain::access::{AccessEvent, AccountEvent, OrganizationEvent};
use pulsetrail_domain::{MonitorId, OrganizationId, UserId};
use pulsetrail_infra::store::append_access;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::Metadata;
use super::tables::AccountFailure;

/// The monitors that would be left with nobody to watch them: those of the organizations that the
/// person is alone in.
///
/// # Errors
/// When Postgres does not answer.
pub async fn monitors_left_behind(
    executor: impl PgExecutor<'_>,
    user_id: UserId,
) -> Result<Vec<(OrganizationId, MonitorId)>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select organization_id, monitor_id from monitor_view
         where not archived and organization_id in (
             select organization_id from members
             group by organization_id having array_agg(user_id) = array[$1])",
    )
    .bind(user_id.0)
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|(o, m)| (OrganizationId(o), MonitorId(m))).collect())
}

/// Deletes a person and the organizations that they are alone in.
///
/// # Errors
/// [`AccountFailure::LastOwner`] where others would be left without an owner, or Postgres does not
/// answer.
pub async fn erase_account(
    pool: &PgPool,
    user_id: UserId,
    organization_id: OrganizationId,
    metadata: &Metadata,
) -> Result<(), AccountFailure> {
    let mut transaction = pool.begin().await?;
    // The rows of their organizations are the lock, as with the removal of a member.
    let organizations: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "select locked.organization_id,
                (select count(*) from members where organization_id = locked.organization_id
                                                and user_id <> $1),
                (select count(*) from members where organization_id = locked.organization_id
                                                and user_id <> $1 and role = 'owner')
         from (select organization_id from organizations
               where organization_id in (select organization_id from members where user_id = $1)
               order by organization_id for update) as locked",
    )
    .bind(user_id.0)
    .fetch_all(&mut *transaction)
    .await?;
    if organizations.iter().any(|(_, others, owners)| *others > 0 && *owners == 0) {
        return Err(AccountFailure::LastOwner);
    }
    sqlx::query("delete from users where user_id = $1")
        .bind(user_id.0)
        .execute(&mut *transaction)
        .await?;
    let mut events: Vec<(Uuid, AccessEvent)> = Vec::new();
    for (organization, others, _) in organizations {
        if others > 0 {
            events.push((organization, OrganizationEvent::MemberRemoved { user_id }.into()));
            continue;
        }
        // Its monitors were archived, which deletes their secrets; this is for one that came since.
        sqlx::query("delete from secrets where organization_id = $1")
            .bind(organization)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("delete from organizations where organization_id = $1")
            .bind(organization)
            .execute(&mut *transaction)
            .await?;
        events.push((organization, OrganizationEvent::OrganizationErased {}.into()));
    }
    events.push((user_id.0, AccountEvent::AccountErased {}.into()));
    for (aggregate_id, event) in events {
        // An organization's events are its own; the account's go where the session was.
        let scope = match &event {
            AccessEvent::Organization(_) => OrganizationId(aggregate_id),
            AccessEvent::Account(_) => organization_id,
        };
        let mut metadata = metadata.clone();
        metadata.insert("organization_id".to_owned(), scope.to_string());
        append_access(&mut transaction, scope, &[(aggregate_id, event)], &metadata).await?;
    }
    Ok(transaction.commit().await?)
}
