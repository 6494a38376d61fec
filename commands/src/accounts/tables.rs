//! The tables of accounts.

use pulsetrail_domain::{OrganizationId, UserId};
use pulsetrail_infra::http::{Identity, Role};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgExecutor, PgPool, Row};

use super::Email;

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
}

impl Account {
    /// What an access token says of it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let Self { user_id, organization_id, role, .. } = *self;
        Identity { user_id, organization_id, role }
    }
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
    /// Its name.
    pub organization_name: String,
}

/// What a login is decided on.
pub struct StoredLogin {
    /// The hash of the password, a PHC string.
    pub password_hash: String,
    /// The person, in the organization that they joined first.
    pub account: Account,
}

/// Why there is no new account.
#[derive(Debug, thiserror::Error)]
pub enum AccountFailure {
    /// Somebody has the address: 409 to an API caller.
    #[error("the e-mail address has an account already")]
    EmailTaken,
    /// The installation takes no more people: 403.
    #[error("the installation takes no more people")]
    RegistrationClosed,
    /// Postgres refused or is away: try again later. Nothing was changed.
    #[error("the accounts cannot be reached: {0}")]
    Database(#[from] sqlx::Error),
}

/// The lock under which the first account of a closed installation is made.
const FIRST_ACCOUNT_LOCK: i64 = 7_013_846_130;

const ACCOUNT_COLUMNS: &str = "users.user_id, users.email, users.name, users.password_hash, \
    organizations.organization_id, organizations.name as organization_name, members.role";
const ACCOUNT_TABLES: &str =
    "users join members using (user_id) join organizations using (organization_id)";

/// Whether there is no user yet.
///
/// # Errors
/// When Postgres does not answer.
pub async fn nobody_is_registered(executor: impl PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select not exists (select from users)").fetch_one(executor).await
}

/// Stores a person and their organization, whose owner they are, both or neither. Where
/// `open` is false only the first one is taken, also when several ask at once.
///
/// # Errors
/// See [`AccountFailure`].
pub async fn insert_account(
    pool: &PgPool,
    new: NewAccount,
    open: bool,
) -> Result<Account, AccountFailure> {
    let mut transaction = pool.begin().await?;
    if !open {
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(FIRST_ACCOUNT_LOCK)
            .execute(&mut *transaction)
            .await?;
        if !nobody_is_registered(&mut *transaction).await? {
            return Err(AccountFailure::RegistrationClosed);
        }
    }
    insert_user(&mut transaction, &new).await?;
    sqlx::query("insert into organizations (organization_id, name) values ($1, $2)")
        .bind(new.organization_id.0)
        .bind(&new.organization_name)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("insert into members (organization_id, user_id, role) values ($1, $2, $3)")
        .bind(new.organization_id.0)
        .bind(new.user_id.0)
        .bind(Role::Owner.as_str())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Account {
        user_id: new.user_id,
        email: new.email.as_str().to_owned(),
        name: new.name,
        organization_id: new.organization_id,
        organization_name: new.organization_name,
        role: Role::Owner,
    })
}

async fn insert_user(
    connection: &mut PgConnection,
    new: &NewAccount,
) -> Result<(), AccountFailure> {
    let inserted = sqlx::query(
        "insert into users (user_id, email, name, password_hash) values ($1, $2, $3, $4)
         on conflict on constraint users_email do nothing",
    )
    .bind(new.user_id.0)
    .bind(new.email.as_str())
    .bind(&new.name)
    .bind(&new.password_hash)
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

/// The account of a caller; none where they do not belong to the organization any more.
///
/// # Errors
/// When Postgres does not answer.
pub async fn load_account(
    executor: impl PgExecutor<'_>,
    identity: &Identity,
) -> Result<Option<Account>, sqlx::Error> {
    let query = format!(
        "select {ACCOUNT_COLUMNS} from {ACCOUNT_TABLES}
         where users.user_id = $1 and organizations.organization_id = $2"
    );
    let row = sqlx::query(&query)
        .bind(identity.user_id.0)
        .bind(identity.organization_id.0)
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(account).transpose()
}

fn account(row: &PgRow) -> Result<Account, sqlx::Error> {
    let role: String = row.try_get("role")?;
    Ok(Account {
        user_id: UserId(row.try_get("user_id")?),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        organization_id: OrganizationId(row.try_get("organization_id")?),
        organization_name: row.try_get("organization_name")?,
        role: Role::from_name(&role)
            .ok_or_else(|| sqlx::Error::Decode(format!("no such role: {role}").into()))?,
    })
}
