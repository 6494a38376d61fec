//! The tables of accounts.

use pulsetrail_domain::access::{AccountEvent, OrganizationEvent};
use pulsetrail_domain::{OrganizationId, Role, UserId};
use pulsetrail_infra::store::{StoreError, append_access};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, PgPool, Row};

use super::sessions::{OpenSession, begin_session};
use super::{Email, Metadata};

/// A person in one organization.
#[derive(Clone)]
pub struct Account {
    /// The person.
    pub user_id: UserId,
    /// The address that they sign in with.
    pub email: String,
    /// Their name, if they gave one.
    pub name: Option<String>,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its name.
    pub organization_name: String,
    /// What they may do there.
    pub role: Role,
    /// Whether they run the installation.
    pub operator: bool,
}

/// A person and their own organization, both new.
pub struct NewAccount {
    /// The person's id, made by the caller.
    pub user_id: UserId,
    /// The address that they sign in with.
    pub email: Email,
    /// Their name, if they gave one.
    pub name: Option<String>,
    /// The hash of their password, a PHC string.
    pub password_hash: String,
    /// The organization's id, made by the caller.
    pub organization_id: OrganizationId,
}

/// What a login is decided on.
pub struct StoredLogin {
    /// The hash of the password, a PHC string.
    pub password_hash: String,
    /// The person, in the organization that they joined first.
    pub account: Account,
}

/// Why accounts were not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountFailure {
    /// Somebody has the address: 409 to an API caller.
    #[error("the e-mail address has an account already")]
    EmailTaken,
    /// The installation takes no more people: 403.
    #[error("the installation takes no more people")]
    RegistrationClosed,
    /// Nobody of that id belongs to the organization: 404.
    #[error("there is no such member")]
    NoSuchMember,
    /// An organization with members would have no owner: 409.
    #[error("the organization would have no owner")]
    LastOwner,
    /// The event could not be appended: as [`AccountFailure::Database`].
    #[error(transparent)]
    Log(#[from] StoreError),
    /// Postgres refused or is away: try again later. Nothing was changed.
    #[error("the accounts cannot be reached: {0}")]
    Database(#[from] sqlx::Error),
}

/// The lock under which the first account of a closed installation is made.
const FIRST_ACCOUNT_LOCK: i64 = 7_013_846_130;

const ACCOUNT_COLUMNS: &str = "users.user_id, users.email, users.name, users.password_hash, \
    users.operator, organizations.organization_id, organizations.name as organization_name, \
    members.role";
const ACCOUNT_TABLES: &str =
    "users join members using (user_id) join organizations using (organization_id)";

/// Whether there is no user yet.
///
/// # Errors
/// When Postgres does not answer.
pub async fn nobody_is_registered(executor: impl PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select not exists (select from users)").fetch_one(executor).await
}

/// Stores a person, their organization, whose owner they are, and their first session: all or nothing.
/// The first person of all runs the installation; where `open` is false nobody else is taken, also when
/// several ask at once.
///
/// # Errors
/// See [`AccountFailure`].
pub async fn insert_account(
    pool: &PgPool,
    new: NewAccount,
    open: bool,
    session_days: u32,
    metadata: &Metadata,
) -> Result<(Account, OpenSession), AccountFailure> {
    let mut transaction = pool.begin().await?;
    let mut operator = nobody_is_registered(&mut *transaction).await?;
    if operator || !open {
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(FIRST_ACCOUNT_LOCK)
            .execute(&mut *transaction)
            .await?;
        operator = nobody_is_registered(&mut *transaction).await?;
        if !operator && !open {
            return Err(AccountFailure::RegistrationClosed);
        }
    }
    insert_user(&mut transaction, &new, operator).await?;
    let organization_name = organization_name(new.name.as_deref(), new.email.as_str());
    insert_organization(&mut transaction, new.organization_id, &organization_name, new.user_id)
        .await?;
    let session =
        begin_session(&mut *transaction, new.user_id, new.organization_id, session_days).await?;
    let created = OrganizationEvent::OrganizationCreated { owner: new.user_id };
    let events = [
        (new.user_id.0, AccountEvent::AccountRegistered { operator }.into()),
        (new.organization_id.0, created.into()),
    ];
    append_access(&mut transaction, new.organization_id, &events, metadata).await?;
    transaction.commit().await?;
    let account = Account {
        user_id: new.user_id,
        email: new.email.as_str().to_owned(),
        name: new.name,
        organization_id: new.organization_id,
        organization_name,
        role: Role::Owner,
        operator,
    };
    Ok((account, session))
}

/// What the organization of a person's own is called.
pub(super) fn organization_name(name: Option<&str>, email: &str) -> String {
    let local_part = email.rsplit_once('@').map_or(email, |(local_part, _)| local_part);
    format!("{}'s organization", name.unwrap_or(local_part))
}

pub(super) async fn insert_organization(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    name: &str,
    owner: UserId,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into organizations (organization_id, name) values ($1, $2)")
        .bind(organization_id.0)
        .bind(name)
        .execute(&mut *connection)
        .await?;
    sqlx::query("insert into members (organization_id, user_id, role) values ($1, $2, $3)")
        .bind(organization_id.0)
        .bind(owner.0)
        .bind(Role::Owner.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_user(
    connection: &mut PgConnection,
    new: &NewAccount,
    operator: bool,
) -> Result<(), AccountFailure> {
    let inserted = sqlx::query(
        "insert into users (user_id, email, name, password_hash, operator)
         values ($1, $2, $3, $4, $5)
         on conflict on constraint users_email do nothing",
    )
    .bind(new.user_id.0)
    .bind(new.email.as_str())
    .bind(&new.name)
    .bind(&new.password_hash)
    .bind(operator)
    .execute(connection)
    .await?;
    if inserted.rows_affected() == 1 { Ok(()) } else { Err(AccountFailure::EmailTaken) }
}

/// What a login with that address is decided on; none where nobody has it.
///
/// # Errors
/// When Postgres does not answer.
pub async fn find_login(
    executor: impl PgExecutor<'_>,
    email: &Email,
) -> Result<Option<StoredLogin>, sqlx::Error> {
    let query = format!(
        "select {ACCOUNT_COLUMNS} from {ACCOUNT_TABLES} where users.email = $1
         order by members.created_at, members.organization_id limit 1"
    );
    let row = sqlx::query(&query).bind(email.as_str()).fetch_optional(executor).await?;
    row.map(|row| {
        Ok(StoredLogin { password_hash: row.try_get("password_hash")?, account: account(&row)? })
    })
    .transpose()
}

/// The hash of a person's password.
///
/// # Errors
/// When Postgres does not answer.
pub async fn find_password(
    executor: impl PgExecutor<'_>,
    user_id: UserId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("select password_hash from users where user_id = $1")
        .bind(user_id.0)
        .fetch_optional(executor)
        .await
}

/// A person in an organization; none where they do not belong to it.
///
/// # Errors
/// When Postgres does not answer.
pub async fn load_account(
    executor: impl PgExecutor<'_>,
    user_id: UserId,
    organization_id: OrganizationId,
) -> Result<Option<Account>, sqlx::Error> {
    let query = format!(
        "select {ACCOUNT_COLUMNS} from {ACCOUNT_TABLES}
         where users.user_id = $1 and organizations.organization_id = $2"
    );
    let row = sqlx::query(&query)
        .bind(user_id.0)
        .bind(organization_id.0)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(account).transpose()
}

fn account(row: &PgRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        user_id: UserId(row.try_get("user_id")?),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        organization_id: OrganizationId(row.try_get("organization_id")?),
        organization_name: row.try_get("organization_name")?,
        role: stored_role(row)?,
        operator: row.try_get("operator")?,
    })
}

/// The column `role` of a row.
pub(super) fn stored_role(row: &PgRow) -> Result<Role, sqlx::Error> {
    let role: String = row.try_get("role")?;
    Role::from_name(&role)
        .ok_or_else(|| sqlx::Error::Decode(format!("no such role: {role}").into()))
}
