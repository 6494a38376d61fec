//! Invitations: how people join an organization. The token is told once, to who invites, and opens the
//! door only for the address that was invited.

use pulsetrail_domain::access::{AccessEvent, OrganizationEvent};
use pulsetrail_domain::{InvitationId, OrganizationId, Role, Timestamp, UserId};
use pulsetrail_infra::http::secret_hash;
use pulsetrail_infra::store::append_access;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, PgPool, Row};
use uuid::Uuid;

use super::members::Membership;
use super::secret::Secret;
use super::tables::{AccountFailure, stored_role};
use super::{Email, Metadata};

/// How long an invitation is good for, in days.
const GOOD_FOR_DAYS: i32 = 7;

/// An invitation that nobody has accepted yet, without its token.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Invitation {
    /// The invitation.
    pub id: InvitationId,
    /// Who may accept it.
    pub email: String,
    /// What they may do then.
    pub role: Role,
    /// Who invited them.
    pub invited_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

const COLUMNS: &str = "invitation_id, email, role, invited_by, created_at, expires_at";

/// Invites somebody. The token is told here and never again.
///
/// # Errors
/// When Postgres does not answer.
pub async fn invite(
    pool: &PgPool,
    (organization_id, invited_by): (OrganizationId, UserId),
    email: &Email,
    role: Role,
    metadata: &Metadata,
) -> Result<(Invitation, String), AccountFailure> {
    let token = Secret::invitation();
    let invitation_id = InvitationId(Uuid::now_v7());
    let mut transaction = pool.begin().await?;
    let query = format!(
        "insert into invitations (invitation_id, organization_id, invited_by, email, role,
                                  token_hash, expires_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(days => $7))
         returning {COLUMNS}"
    );
    let row = sqlx::query(&query)
        .bind(invitation_id.0)
        .bind(organization_id.0)
        .bind(invited_by.0)
        .bind(email.as_str())
        .bind(role.as_str())
        .bind(token.hash())
        .bind(GOOD_FOR_DAYS)
        .fetch_one(&mut *transaction)
        .await?;
    let events =
        [(organization_id.0, OrganizationEvent::MemberInvited { invitation_id, role }.into())];
    append_access(&mut transaction, organization_id, &events, metadata).await?;
    transaction.commit().await?;
    Ok((invitation(&row)?, token.reveal()))
}

/// The invitations of an organization that are still open, by id, those after `after`.
///
/// # Errors
/// When Postgres does not answer.
pub async fn list_invitations(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Invitation>, sqlx::Error> {
    let query = format!(
        "select {COLUMNS} from invitations
         where organization_id = $1 and accepted_by is null and expires_at > clock_timestamp()
           and ($2::uuid is null or invitation_id > $2)
         order by invitation_id limit $3"
    );
    let rows = sqlx::query(&query)
        .bind(organization_id.0)
        .bind(after)
        .bind(limit)
        .fetch_all(executor)
        .await?;
    rows.iter().map(invitation).collect()
}

/// Withdraws an invitation that nobody has accepted. Says whether there was one.
///
/// # Errors
/// When Postgres does not answer.
pub async fn withdraw_invitation(
    pool: &PgPool,
    organization_id: OrganizationId,
    invitation_id: InvitationId,
    metadata: &Metadata,
) -> Result<bool, AccountFailure> {
    let mut transaction = pool.begin().await?;
    let deleted = sqlx::query(
        "delete from invitations
         where invitation_id = $1 and organization_id = $2 and accepted_by is null",
    )
    .bind(invitation_id.0)
    .bind(organization_id.0)
    .execute(&mut *transaction)
    .await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    let event = OrganizationEvent::InvitationWithdrawn { invitation_id };
    let events = [(organization_id.0, event.into())];
    append_access(&mut transaction, organization_id, &events, metadata).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Withdraws the open invitations that a person made, who may make none any more, in the transaction that
/// takes the right from them. Returns the events.
pub(super) async fn withdraw_all_of(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    invited_by: UserId,
) -> Result<Vec<(Uuid, AccessEvent)>, sqlx::Error> {
    let withdrawn: Vec<Uuid> = sqlx::query_scalar(
        "delete from invitations
         where organization_id = $1 and invited_by = $2 and accepted_by is null
         returning invitation_id",
    )
    .bind(organization_id.0)
    .bind(invited_by.0)
    .fetch_all(connection)
    .await?;
    let event = |id| OrganizationEvent::InvitationWithdrawn { invitation_id: InvitationId(id) };
    Ok(withdrawn.into_iter().map(|id| (organization_id.0, event(id).into())).collect())
}

/// Has a person join the organization that a token leads to; none where it is not good for them. Who
/// has joined with it before is told so again; who belongs to it already keeps their role. It is good only
/// as long as who made it is an owner.
///
/// # Errors
/// When Postgres does not answer.
pub async fn accept_invitation(
    pool: &PgPool,
    user_id: UserId,
    token: &str,
    mut metadata: Metadata,
) -> Result<Option<Membership>, AccountFailure> {
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(
        "select invitation_id, organization_id, invitations.role, accepted_by
         from invitations join users on users.email = invitations.email
         where token_hash = $1 and users.user_id = $2
           and (accepted_by = $2
                or accepted_by is null and expires_at > clock_timestamp()
                   and exists (select from members
                               where members.organization_id = invitations.organization_id
                                 and members.user_id = invited_by and members.role = 'owner'))
         for update of invitations",
    )
    .bind(secret_hash(token))
    .bind(user_id.0)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let organization_id = OrganizationId(row.try_get("organization_id")?);
    let invitation_id = InvitationId(row.try_get("invitation_id")?);
    let role = stored_role(&row)?;
    let accepted_by: Option<Uuid> = row.try_get("accepted_by")?;
    let mut joined = false;
    if accepted_by.is_none() {
        sqlx::query("update invitations set accepted_by = $2 where invitation_id = $1")
            .bind(invitation_id.0)
            .bind(user_id.0)
            .execute(&mut *transaction)
            .await?;
        let inserted = sqlx::query(
            "insert into members (organization_id, user_id, role) values ($1, $2, $3)
             on conflict do nothing",
        )
        .bind(organization_id.0)
        .bind(user_id.0)
        .bind(role.as_str())
        .execute(&mut *transaction)
        .await?;
        joined = inserted.rows_affected() == 1;
    }
    let membership = sqlx::query(
        "select organizations.name, members.role
         from members join organizations using (organization_id)
         where organization_id = $1 and members.user_id = $2",
    )
    .bind(organization_id.0)
    .bind(user_id.0)
    .fetch_optional(&mut *transaction)
    .await?;
    // Who was removed since does not come back with the same invitation.
    let Some(membership) = membership else { return Ok(None) };
    let membership = Membership {
        id: organization_id,
        name: membership.try_get("name")?,
        role: stored_role(&membership)?,
    };
    if joined {
        metadata.insert("organization_id".to_owned(), organization_id.to_string());
        let event = OrganizationEvent::MemberJoined { user_id, role, invitation_id };
        let events = [(organization_id.0, event.into())];
        append_access(&mut transaction, organization_id, &events, &metadata).await?;
    }
    transaction.commit().await?;
    Ok(Some(membership))
}

fn invitation(row: &PgRow) -> Result<Invitation, sqlx::Error> {
    Ok(Invitation {
        id: InvitationId(row.try_get("invitation_id")?),
        email: row.try_get("email")?,
        role: stored_role(row)?,
        invited_by: UserId(row.try_get("invited_by")?),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}
