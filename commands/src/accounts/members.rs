//! Who belongs to an organization.

use pulsetrail_domain::access::OrganizationEvent;
use pulsetrail_domain::{OrganizationId, Role, Timestamp, UserId};
use pulsetrail_infra::store::append_access;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, PgPool, Row};
use uuid::Uuid;

use super::Metadata;
use super::invitations::withdraw_all_of;
use super::tables::{AccountFailure, insert_organization, organization_name, stored_role};

/// A person in an organization.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// The address that they sign in with.
    pub email: String,
    /// Their name, if they gave one.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// When they joined.
    pub joined_at: Timestamp,
}

/// An organization that a person belongs to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Membership {
    /// The organization.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// What they may do there.
    pub role: Role,
}

const COLUMNS: &str =
    "users.user_id, users.email, users.name, members.role, members.created_at as joined_at";

/// The members of an organization by id, those after `after`.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list_members(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Member>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from members join users using (user_id)
         where members.organization_id = $1 and ($2::uuid is null or user_id > $2)
         order by user_id limit $3"
    );
    let rows = sqlx::query(&query)
        .bind(organization_id.0)
        .bind(after)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    rows.iter().map(member).collect()
}

/// The organizations of a person, the one that they joined first at the beginning.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list_memberships(
    executor: impl PgExecutor<'_>,
    user_id: UserId,
) -> Result<Vec<Membership>, sqlx::Error> {
    let rows = sqlx::query(
        "select organization_id, organizations.name, members.role
         from members join organizations using (organization_id)
         where members.user_id = $1 order by members.created_at, organization_id",
    )
    .bind(user_id.0)
    .fetch_all(executor)
    .await?;
    let membership = |row: &PgRow| {
        Ok(Membership {
            id: OrganizationId(row.try_get("organization_id")?),
            name: row.try_get("name")?,
            role: stored_role(row)?,
        })
    };
    rows.iter().map(membership).collect()
}

/// Gives a member another role. It counts from their next request on. The open invitations of one who is
/// no owner any more are withdrawn.
///
/// # Errors
/// [`AccountFailure::NoSuchMember`], [`AccountFailure::LastOwner`], or Postgres does not answer.
pub async fn change_role(
    pool: &PgPool,
    organization_id: OrganizationId,
    user_id: UserId,
    role: Role,
    metadata: &Metadata,
) -> Result<Member, AccountFailure> {
    let mut transaction = pool.begin().await?;
    let before = lock_member(&mut transaction, organization_id, user_id).await?;
    if before == Role::Owner && role != Role::Owner {
        another_owner(&mut transaction, organization_id, user_id).await?;
    }
    let query = format!(
        "with changed as (
             update members set role = $3 where organization_id = $1 and user_id = $2
             returning user_id, role, created_at
         )
         select {COLUMNS} from changed as members join users using (user_id)"
    );
    let row = sqlx::query(&query)
        .bind(organization_id.0)
        .bind(user_id.0)
        .bind(role.as_str())
        .fetch_one(&mut *transaction)
        .await?;
    let member = member(&row)?;
    if before != role {
        let event = OrganizationEvent::MemberRoleChanged { user_id, role };
        let mut events = vec![(organization_id.0, event.into())];
        if before == Role::Owner {
            events.extend(withdraw_all_of(&mut transaction, organization_id, user_id).await?);
        }
        append_access(&mut transaction, organization_id, &events, metadata).await?;
    }
    transaction.commit().await?;
    Ok(member)
}

/// Takes a member out of an organization, with their sessions and keys there and the invitations that they
/// made. Who belongs to no other
/// one gets one of their own, as at their registration.
///
/// # Errors
/// [`AccountFailure::NoSuchMember`], [`AccountFailure::LastOwner`], or Postgres does not answer.
pub async fn remove_member(
    pool: &PgPool,
    organization_id: OrganizationId,
    user_id: UserId,
    metadata: &Metadata,
) -> Result<(), AccountFailure> {
    let mut transaction = pool.begin().await?;
    if lock_member(&mut transaction, organization_id, user_id).await? == Role::Owner {
        another_owner(&mut transaction, organization_id, user_id).await?;
    }
    for statement in [
        "delete from members where organization_id = $1 and user_id = $2",
        "delete from sessions where organization_id = $1 and user_id = $2",
        "delete from api_keys where organization_id = $1 and created_by = $2",
    ] {
        sqlx::query(statement)
            .bind(organization_id.0)
            .bind(user_id.0)
            .execute(&mut *transaction)
            .await?;
    }
    let own = own_organization(&mut transaction, user_id).await?;
    let mut events = vec![(organization_id.0, OrganizationEvent::MemberRemoved { user_id }.into())];
    events.extend(withdraw_all_of(&mut transaction, organization_id, user_id).await?);
    append_access(&mut transaction, organization_id, &events, metadata).await?;
    if let Some(own) = own {
        let mut metadata = metadata.clone();
        metadata.insert("organization_id".to_owned(), own.to_string());
        let events = [(own.0, OrganizationEvent::OrganizationCreated { owner: user_id }.into())];
        append_access(&mut transaction, own, &events, &metadata).await?;
    }
    Ok(transaction.commit().await?)
}

/// Makes an organization for a person who has none.
async fn own_organization(
    connection: &mut PgConnection,
    user_id: UserId,
) -> Result<Option<OrganizationId>, sqlx::Error> {
    let homeless: Option<(String, Option<String>)> = sqlx::query_as(
        "select email, name from users
         where user_id = $1 and not exists (select from members where user_id = $1)",
    )
    .bind(user_id.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((email, name)) = homeless else { return Ok(None) };
    let organization_id = OrganizationId(Uuid::now_v7());
    let name = organization_name(name.as_deref(), &email);
    insert_organization(connection, organization_id, &name, user_id).await?;
    Ok(Some(organization_id))
}

/// The role of a member, whom nobody else changes until the transaction ends.
async fn lock_member(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    user_id: UserId,
) -> Result<Role, AccountFailure> {
    // Two owners who remove each other must not both succeed: the organization's row is the lock.
    sqlx::query("select from organizations where organization_id = $1 for update")
        .bind(organization_id.0)
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("select role from members where organization_id = $1 and user_id = $2")
        .bind(organization_id.0)
        .bind(user_id.0)
        .fetch_optional(connection)
        .await?
        .ok_or(AccountFailure::NoSuchMember)?;
    Ok(stored_role(&row)?)
}

async fn another_owner(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    user_id: UserId,
) -> Result<(), AccountFailure> {
    let another: bool = sqlx::query_scalar(
        "select exists (select from members
                        where organization_id = $1 and user_id <> $2 and role = 'owner')",
    )
    .bind(organization_id.0)
    .bind(user_id.0)
    .fetch_one(connection)
    .await?;
    if another { Ok(()) } else { Err(AccountFailure::LastOwner) }
}

fn member(row: &PgRow) -> Result<Member, sqlx::Error> {
    Ok(Member {
        user_id: UserId(row.try_get("user_id")?),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        role: stored_role(row)?,
        joined_at: row.try_get("joined_at")?,
    })
}
