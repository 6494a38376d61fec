//! Tickets: what a browser shows where it can set no header.

use std::collections::HashSet;

use axum::http::request::Parts;
use pulsetrail_domain::{ApiKeyId, OrganizationId, SessionId, Timestamp, UserId};
use sqlx::Row;
use uuid::Uuid;

use super::authenticator::secret_hash;
use super::{Authenticator, Credential, Identity, Problem, TokenClaims};

/// How long a ticket waits for its first use, in seconds: a browser uses it at once.
const LASTS_SECONDS: i32 = 30;
/// How long after its first use a ticket for [`TicketUse::Again`] is good, in seconds; never longer than the credential
/// that it stands for.
const LASTS_AGAIN_SECONDS: i32 = 3_600;

/// A ticket for its owner. It stands in a URL, and so is not good for long.
pub struct Ticket {
    /// What is shown.
    pub secret: String,
    /// How long it waits for its first use, in seconds.
    pub expires_in: i32,
}

/// How a ticket is used. One that was used in one way is not good for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketUse {
    /// Once: for a client that asks for a new ticket when it comes back.
    Once,
    /// Again and again for an hour after the first time: for an event source, which comes back to the same address
    /// by itself.
    Again,
}

impl TicketUse {
    /// Uses a ticket up, or marks it as one that comes again. The row says whether it is `good`.
    fn query(self) -> &'static str {
        match self {
            Self::Once => {
                "delete from live_tickets where ticket_hash = $1 and not comes_again
                 returning user_id, organization_id, session_id, api_key_id, ends_at,
                           expires_at > clock_timestamp() as good"
            }
            Self::Again => {
                "update live_tickets set
                     comes_again = true,
                     expires_at = case when comes_again then expires_at
                                       else least(ends_at, clock_timestamp() + make_interval(secs => $2))
                                  end
                 where ticket_hash = $1 and expires_at > clock_timestamp()
                 returning user_id, organization_id, session_id, api_key_id, ends_at, true as good"
            }
        }
    }
}

impl Authenticator {
    /// A ticket that stands for what the caller showed, at every server.
    ///
    /// # Errors
    /// 503 where it cannot be kept.
    pub async fn issue_ticket(&self, identity: &Identity) -> Result<Ticket, Problem> {
        let secret = format!("tkt_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let (session_id, api_key_id) = match identity.credential {
            Credential::Session(id) => (Some(id.0), None),
            Credential::ApiKey(id) => (None, Some(id.0)),
        };
        // Tickets that nobody used go with the next one.
        sqlx::query(
            "with old as (delete from live_tickets where expires_at < clock_timestamp())
             insert into live_tickets (ticket_hash, user_id, organization_id, session_id, api_key_id,
                                       ends_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7))",
        )
        .bind(secret_hash(&secret))
        .bind(identity.user_id.0)
        .bind(identity.organization_id.0)
        .bind(session_id)
        .bind(api_key_id)
        .bind(identity.ends_at)
        .bind(f64::from(LASTS_SECONDS))
        .execute(&self.pool)
        .await?;
        Ok(Ticket { secret, expires_in: LASTS_SECONDS })
    }

    /// The caller that a ticket stands for.
    ///
    /// # Errors
    /// 401 where it is not good or its credential is not any more, 429 where there is too much of it,
    /// 503 where the tables cannot be read.
    pub async fn redeem_ticket(
        &self,
        parts: &Parts,
        secret: &str,
        ticket_use: TicketUse,
    ) -> Result<Identity, Problem> {
        let mut query = sqlx::query(ticket_use.query()).bind(secret_hash(secret));
        if ticket_use == TicketUse::Again {
            query = query.bind(f64::from(LASTS_AGAIN_SECONDS));
        }
        let row = query.fetch_optional(&self.pool).await?;
        let identity = match row {
            Some(row) if row.try_get("good")? => self.stands_for(&row).await?,
            _ => None,
        };
        let Some(identity) = identity else {
            self.count_attempt(parts).await?;
            return Err(Problem::unauthorized());
        };
        Ok(identity)
    }

    async fn stands_for(&self, row: &sqlx::postgres::PgRow) -> Result<Option<Identity>, Problem> {
        let session_id: Option<Uuid> = row.try_get("session_id")?;
        let api_key_id: Option<Uuid> = row.try_get("api_key_id")?;
        let ends_at: Option<Timestamp> = row.try_get("ends_at")?;
        match (session_id, api_key_id) {
            (Some(session_id), _) => {
                let claims = TokenClaims {
                    user_id: UserId(row.try_get("user_id")?),
                    organization_id: OrganizationId(row.try_get("organization_id")?),
                    session_id: SessionId(session_id),
                };
                self.by_session(claims, ends_at).await
            }
            (None, Some(api_key_id)) => self.by_key_id(ApiKeyId(api_key_id)).await,
            (None, None) => Ok(None),
        }
    }

    /// Those of the given credentials that still let somebody in: a session that was not ended, a key
    /// that was not revoked, each of somebody who still belongs to the organization.
    ///
    /// # Errors
    /// 503 where the tables cannot be read.
    pub async fn still_good(
        &self,
        credentials: impl IntoIterator<Item = Credential>,
    ) -> Result<HashSet<Credential>, Problem> {
        let (mut sessions, mut keys) = (Vec::new(), Vec::new());
        for credential in credentials {
            match credential {
                Credential::Session(id) => sessions.push(id.0),
                Credential::ApiKey(id) => keys.push(id.0),
            }
        }
        let rows = sqlx::query(
            "select session_id, null::uuid as api_key_id
             from sessions join members using (user_id, organization_id)
             where session_id = any($1) and revoked_at is null
             union all
             select null, api_key_id
             from api_keys
             join members on members.organization_id = api_keys.organization_id
                         and members.user_id = api_keys.created_by
             where api_key_id = any($2) and revoked_at is null
               and (expires_at is null or expires_at > clock_timestamp())",
        )
        .bind(sessions)
        .bind(keys)
        .fetch_all(&self.pool)
        .await?;
        let good = rows.iter().map(|row| {
            let session: Option<Uuid> = row.try_get("session_id")?;
            Ok(match session {
                Some(id) => Credential::Session(SessionId(id)),
                None => Credential::ApiKey(ApiKeyId(row.try_get("api_key_id")?)),
            })
        });
        good.collect::<Result<_, sqlx::Error>>().map_err(Problem::from)
    }
}
