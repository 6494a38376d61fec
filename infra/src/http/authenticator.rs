//! From what a request shows to who asks.

use axum::http::request::Parts;
use axum::http::{Method, header};
use pulsetrail_domain::{ApiKeyId, OrganizationId, Role, Timestamp, UserId};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::{
    AccessTokens, Credential, Identity, Ingress, Problem, RateSettings, SharedLimit, SharesLimit,
    TokenClaims,
};

/// What every API key begins with, so that people and scanners know one when they see it.
pub const API_KEY_PREFIX: &str = "pt_";
/// The cookie that carries the access token of a browser.
pub const SESSION_COOKIE: &str = "pulsetrail_session";

/// Every key that counts, with what its bearer may do.
const GOOD_KEYS: &str = "select api_keys.api_key_id, api_keys.organization_id, api_keys.created_by,
            api_keys.role, members.role as member_role, api_keys.last_used_at, api_keys.expires_at,
            clock_timestamp() as now
     from api_keys
     join members on members.organization_id = api_keys.organization_id
                 and members.user_id = api_keys.created_by
     where api_keys.revoked_at is null
       and (api_keys.expires_at is null or api_keys.expires_at > clock_timestamp())";

/// Knows callers by an access token, an API key or a browser's cookie. What they may do is read from
/// the tables with every request: one look by primary key, so that whoever was removed, signed out or
/// given another role is known as such at once, on every server. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    tokens: AccessTokens,
    pub(super) pool: PgPool,
    ingress: Ingress,
    attempts: SharedLimit,
    session_requests: SharesLimit,
    organization_reads: SharesLimit,
    organization_commands: SharesLimit,
    key_requests: SharesLimit,
    address_key_requests: SharesLimit,
}

impl Authenticator {
    /// Over the tables of accounts, with the usual limits.
    #[must_use]
    pub fn new(tokens: AccessTokens, pool: PgPool) -> Self {
        Self::with_limits(tokens, pool, Ingress::default(), RateSettings::default())
    }

    /// Over the tables of accounts.
    #[must_use]
    pub fn with_limits(
        tokens: AccessTokens,
        pool: PgPool,
        ingress: Ingress,
        rates: RateSettings,
    ) -> Self {
        let shares = |kind, number| SharesLimit::a_minute(kind, number, pool.clone());
        Self {
            tokens,
            attempts: SharedLimit::a_minute("address", rates.attempts_a_minute, pool.clone()),
            session_requests: shares("session", rates.session_requests_a_minute),
            organization_reads: shares("reads", rates.organization_reads_a_minute),
            organization_commands: shares("commands", rates.organization_commands_a_minute),
            key_requests: shares("key", rates.key_requests_a_minute),
            address_key_requests: shares("key address", rates.address_key_requests_a_minute),
            pool,
            ingress,
        }
    }

    /// Signs access tokens.
    #[must_use]
    pub fn tokens(&self) -> &AccessTokens {
        &self.tokens
    }

    /// What is known of the way that requests come.
    #[must_use]
    pub fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    /// Counts an attempt to get in by the address that it comes from.
    ///
    /// # Errors
    /// 429 where there were too many from there, 503 where they cannot be counted.
    pub async fn count_attempt(&self, parts: &Parts) -> Result<(), Problem> {
        match self.ingress.client(parts) {
            Some(address) => self.attempts.count(&address.to_string()).await,
            None => Ok(()),
        }
    }

    /// The caller of a request.
    ///
    /// # Errors
    /// 401 where nothing good is shown, 403 where a cookie comes from another site's page, 429 where
    /// there is too much of it, 503 where the tables cannot be read.
    pub async fn identify(&self, parts: &Parts) -> Result<Identity, Problem> {
        let identity = match bearer(parts) {
            Some(Ok(secret)) if secret.starts_with(API_KEY_PREFIX) => {
                let identity = self.by_key(secret).await?;
                if let (Some(_), Some(address)) = (&identity, self.ingress.client(parts)) {
                    self.address_key_requests.count(&address.to_string()).await?;
                }
                identity
            }
            Some(Ok(token)) => self.by_token(token).await?,
            Some(Err(())) => None,
            None => match cookie(parts, SESSION_COOKIE) {
                Some(_) if !self.ingress.cookie_counts(parts) => {
                    return Err(Problem::cross_site());
                }
                Some(token) => self.by_token(token).await?,
                None => return Err(Problem::unauthorized()),
            },
        };
        let Some(identity) = identity else {
            // Guessing is counted; whoever guesses too much is not even told that they are wrong.
            self.count_attempt(parts).await?;
            return Err(Problem::unauthorized());
        };
        self.count_request(&identity, &parts.method).await?;
        Ok(identity)
    }

    /// Counts a request by the session that it is made in, and by its organization. Those with keys were
    /// counted by their key.
    async fn count_request(&self, identity: &Identity, method: &Method) -> Result<(), Problem> {
        if let Credential::Session(session_id) = identity.credential {
            self.session_requests.count(&session_id.to_string()).await?;
        }
        match *method {
            Method::GET | Method::HEAD => {
                let organization = identity.organization_id.to_string();
                self.organization_reads.count(&organization).await
            }
            _ => self.count_commands(identity.organization_id, 1).await,
        }
    }

    /// Counts commands of an organization. Each request that is none of those that only read was counted
    /// as one of them before.
    ///
    /// # Errors
    /// 429 where there were too many, 503 where they cannot be counted.
    pub async fn count_commands(
        &self,
        organization_id: OrganizationId,
        number: u32,
    ) -> Result<(), Problem> {
        self.organization_commands.count_many(&organization_id.to_string(), number).await
    }

    /// The session that a request's token was given to, whether or not it has ended since; none where no
    /// token is shown that this installation signed and that is still in its time, or where a cookie
    /// comes from another site's page.
    #[must_use]
    pub fn shown_session(&self, parts: &Parts) -> Option<TokenClaims> {
        let token = match bearer(parts) {
            Some(shown) => shown.ok()?,
            None if self.ingress.cookie_counts(parts) => cookie(parts, SESSION_COOKIE)?,
            None => return None,
        };
        self.tokens.read(token).map(|(claims, _)| claims)
    }

    async fn by_token(&self, token: &str) -> Result<Option<Identity>, Problem> {
        let Some((claims, ends_at)) = self.tokens.read(token) else { return Ok(None) };
        self.by_session(claims, Some(ends_at)).await
    }

    /// Whoever has a session now, with a credential that ends at `ends_at`.
    pub(super) async fn by_session(
        &self,
        claims: TokenClaims,
        ends_at: Option<Timestamp>,
    ) -> Result<Option<Identity>, Problem> {
        let row = sqlx::query(
            "select members.role, users.operator
             from sessions
             join members using (user_id, organization_id)
             join users using (user_id)
             where sessions.session_id = $1 and user_id = $2 and organization_id = $3
               and sessions.revoked_at is null",
        )
        .bind(claims.session_id.0)
        .bind(claims.user_id.0)
        .bind(claims.organization_id.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Identity {
            user_id: claims.user_id,
            organization_id: claims.organization_id,
            role: role(row.try_get("role")?)?,
            operator: row.try_get("operator")?,
            credential: Credential::Session(claims.session_id),
            ends_at,
        }))
    }

    async fn by_key(&self, secret: &str) -> Result<Option<Identity>, Problem> {
        let query = format!("{GOOD_KEYS} and api_keys.secret_hash = $1");
        let row = sqlx::query(&query).bind(secret_hash(secret)).fetch_optional(&self.pool).await?;
        self.of_key(row).await
    }

    /// Whoever has a key now.
    pub(super) async fn by_key_id(&self, id: ApiKeyId) -> Result<Option<Identity>, Problem> {
        let query = format!("{GOOD_KEYS} and api_keys.api_key_id = $1");
        let row = sqlx::query(&query).bind(id.0).fetch_optional(&self.pool).await?;
        self.of_key(row).await
    }

    async fn of_key(&self, row: Option<PgRow>) -> Result<Option<Identity>, Problem> {
        let Some(row) = row else { return Ok(None) };
        let api_key_id = ApiKeyId(row.try_get("api_key_id")?);
        self.key_requests.count(&api_key_id.to_string()).await?;
        let last_used: Option<Timestamp> = row.try_get("last_used_at")?;
        let now: Timestamp = row.try_get("now")?;
        if last_used.is_none_or(|used| (now - used).num_seconds() >= 60) {
            self.note_use(api_key_id).await?;
        }
        Ok(Some(Identity {
            user_id: UserId(row.try_get("created_by")?),
            organization_id: OrganizationId(row.try_get("organization_id")?),
            // A key can do no more than who made it can now.
            role: role(row.try_get("role")?)?.min(role(row.try_get("member_role")?)?),
            operator: false,
            credential: Credential::ApiKey(api_key_id),
            ends_at: row.try_get("expires_at")?,
        }))
    }

    /// Notes that a key was used, to the minute: one write a minute, however often it is used.
    async fn note_use(&self, api_key_id: ApiKeyId) -> Result<(), Problem> {
        sqlx::query(
            "update api_keys set last_used_at = clock_timestamp()
             where api_key_id = $1
               and (last_used_at is null or last_used_at < clock_timestamp() - interval '1 minute')",
        )
        .bind(api_key_id.0)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// How a random secret is kept.
#[must_use]
pub fn secret_hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// The value of a request's cookie of that name (RFC 6265, 5.4).
#[must_use]
pub fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let lines = parts.headers.get_all(header::COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// What stands behind `Bearer`; an error where something else is shown.
fn bearer(parts: &Parts) -> Option<Result<&str, ()>> {
    let shown = parts.headers.get(header::AUTHORIZATION)?;
    let bearer = shown.to_str().ok().and_then(|shown| shown.split_once(' '));
    Some(match bearer {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(()),
    })
}

fn role(name: &str) -> Result<Role, Problem> {
    Role::from_name(name).ok_or_else(|| Problem::internal(format!("no such role: {name}")))
}
