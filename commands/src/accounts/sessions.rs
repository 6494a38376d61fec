//! Sessions: from a sign-in to a sign-out. A session's refresh token changes with every use; whoever
//! shows the one before ends the session, for one of the two is a thief. Anything else that names the
//! session says nothing of it: access tokens name it, too.

use pulsetrail_domain::access::AccountEvent;
use pulsetrail_domain::{OrganizationId, SessionId, UserId};
use pulsetrail_infra::http::secret_hash;
use pulsetrail_infra::store::append_access;
use sqlx::{PgConnection, PgExecutor, PgPool, Row};
use uuid::Uuid;

use super::Metadata;
use super::secret::{Secret, session_of};
use super::tables::{Account, AccountFailure, load_account};

/// A session and the token that it is refreshed with.
pub struct OpenSession {
    /// The session.
    pub session_id: SessionId,
    /// Its newest refresh token.
    pub refresh_token: String,
}

/// How long a session that has ended is kept, for a sign-out that is sent again, in days.
const KEPT_DAYS: i32 = 1;
/// How many sessions that ended before are deleted with each that begins: more than begin.
const SWEPT: i64 = 100;

/// Begins a session of a person in one of their organizations. It ends after so many days without use. Sessions
/// of anybody that ended long ago are deleted meanwhile.
///
/// # Errors
/// When Postgres does not answer.
pub async fn begin_session(
    executor: impl PgExecutor<'_>,
    user_id: UserId,
    organization_id: OrganizationId,
    days: u32,
) -> Result<OpenSession, sqlx::Error> {
    // Always a new one: what a client brought along before it signed in counts for nothing.
    let session_id = SessionId(Uuid::new_v4());
    let refresh_token = Secret::refresh_token(session_id);
    sqlx::query(
        "with over as (
             delete from sessions where ctid = any(array(
                 select ctid from sessions
                 where least(expires_at, revoked_at) < clock_timestamp() - make_interval(days => $6)
                 limit $7 for update skip locked))
         )
         insert into sessions (session_id, user_id, organization_id, refresh_hash, expires_at)
         values ($1, $2, $3, $4, clock_timestamp() + make_interval(days => $5))",
    )
    .bind(session_id.0)
    .bind(user_id.0)
    .bind(organization_id.0)
    .bind(refresh_token.hash())
    .bind(days as i32)
    .bind(KEPT_DAYS)
    .bind(SWEPT)
    .execute(executor)
    .await?;
    Ok(OpenSession { session_id, refresh_token: refresh_token.reveal() })
}

/// Takes a refresh token and gives the next one; none where the token is not good. `metadata` is that
/// of the event which tells of a token that was used twice.
///
/// # Errors
/// When Postgres does not answer.
pub async fn refresh_session(
    pool: &PgPool,
    refresh_token: &str,
    days: u32,
    mut metadata: Metadata,
) -> Result<Option<(Account, OpenSession)>, AccountFailure> {
    let Some(session_id) = session_of(refresh_token) else { return Ok(None) };
    let mut transaction = pool.begin().await?;
    let row = sqlx::query(
        "select user_id, organization_id, refresh_hash, former_hash from sessions
         where session_id = $1 and revoked_at is null and expires_at > clock_timestamp()
         for update",
    )
    .bind(session_id.0)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let user_id = UserId(row.try_get("user_id")?);
    let organization_id = OrganizationId(row.try_get("organization_id")?);
    let (newest, former): (Vec<u8>, Option<Vec<u8>>) =
        (row.try_get("refresh_hash")?, row.try_get("former_hash")?);
    let shown = secret_hash(refresh_token);
    if shown != newest {
        if former != Some(shown) {
            return Ok(None);
        }
        end_session(&mut *transaction, session_id).await?;
        metadata.insert("actor".to_owned(), user_id.to_string());
        metadata.insert("organization_id".to_owned(), organization_id.to_string());
        let event = AccountEvent::RefreshTokenReused { session_id };
        let events = [(user_id.0, event.into())];
        append_access(&mut transaction, organization_id, &events, &metadata).await?;
        transaction.commit().await?;
        tracing::warn!(user.id = %user_id, session.id = %session_id, "a refresh token was reused");
        return Ok(None);
    }
    let Some(account) = load_account(&mut *transaction, user_id, organization_id).await? else {
        return Ok(None);
    };
    let next = rotate(&mut transaction, session_id, days).await?;
    transaction.commit().await?;
    Ok(Some((account, next)))
}

async fn rotate(
    connection: &mut PgConnection,
    session_id: SessionId,
    days: u32,
) -> Result<OpenSession, sqlx::Error> {
    let next = Secret::refresh_token(session_id);
    sqlx::query(
        "update sessions
         set former_hash = refresh_hash, refresh_hash = $2, refreshed_at = clock_timestamp(),
             expires_at = clock_timestamp() + make_interval(days => $3)
         where session_id = $1",
    )
    .bind(session_id.0)
    .bind(next.hash())
    .bind(days as i32)
    .execute(connection)
    .await?;
    Ok(OpenSession { session_id, refresh_token: next.reveal() })
}

/// Ends a session: its tokens, those for access included, are not good any more.
///
/// # Errors
/// When Postgres does not answer.
pub async fn end_session(
    executor: impl PgExecutor<'_>,
    session_id: SessionId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update sessions set revoked_at = clock_timestamp()
         where session_id = $1 and revoked_at is null",
    )
    .bind(session_id.0)
    .execute(executor)
    .await?;
    Ok(())
}

/// Sets another password and ends every other session of the person.
///
/// # Errors
/// When Postgres does not answer.
pub async fn change_password(
    pool: &PgPool,
    (user_id, organization_id): (UserId, OrganizationId),
    kept: SessionId,
    password_hash: &str,
    metadata: &Metadata,
) -> Result<(), AccountFailure> {
    let mut transaction = pool.begin().await?;
    sqlx::query("update users set password_hash = $2 where user_id = $1")
        .bind(user_id.0)
        .bind(password_hash)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "update sessions set revoked_at = clock_timestamp()
         where user_id = $1 and session_id <> $2 and revoked_at is null",
    )
    .bind(user_id.0)
    .bind(kept.0)
    .execute(&mut *transaction)
    .await?;
    let events = [(user_id.0, AccountEvent::PasswordChanged {}.into())];
    append_access(&mut transaction, organization_id, &events, metadata).await?;
    Ok(transaction.commit().await?)
}
