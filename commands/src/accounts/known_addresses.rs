//! Where people signed in from before: a limit that strangers use up must not lock them out. An address is
//! kept as a mark that only the installation can make.

use pulsetrail_domain::UserId;
use sqlx::PgExecutor;

use super::Email;

/// How long an address is known that nobody signs in from, in days.
const KNOWN_FOR_DAYS: i32 = 90;

/// Whether the person with that e-mail address has signed in from one of the addresses.
///
/// # Errors
/// When Postgres does not answer.
pub async fn is_known_address(
    executor: impl PgExecutor<'_>,
    email: &Email,
    marks: &[Vec<u8>],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from known_addresses join users using (user_id)
                        where users.email = $1 and address_mark = any($2)
                          and seen_at > clock_timestamp() - make_interval(days => $3))",
    )
    .bind(email.as_str())
    .bind(marks)
    .bind(KNOWN_FOR_DAYS)
    .fetch_one(executor)
    .await
}

/// Keeps that a person has signed in from an address, and forgets those of long ago.
///
/// # Errors
/// When Postgres does not answer.
pub async fn note_address(
    executor: impl PgExecutor<'_>,
    user_id: UserId,
    mark: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "with old as (
             delete from known_addresses
             where user_id = $1 and address_mark <> $2
               and seen_at < clock_timestamp() - make_interval(days => $3)
         )
         insert into known_addresses (user_id, address_mark) values ($1, $2)
         on conflict (user_id, address_mark) do update set seen_at = clock_timestamp()",
    )
    .bind(user_id.0)
    .bind(mark)
    .bind(KNOWN_FOR_DAYS)
    .execute(executor)
    .await?;
    Ok(())
}
