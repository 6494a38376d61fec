//! Who asks: access tokens, and the caller that a request's token names.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use chrono::{Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use pulsetrail_domain::{OrganizationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::Problem;

/// What a person or a key may do in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read and change monitors.
    Editor,
    /// Everything, people and keys included.
    Owner,
}

impl Role {
    /// The role as it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Owner].into_iter().find(|role| role.as_str() == name)
    }
}

/// The caller of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The person.
    pub user_id: UserId,
    /// The organization that everything in the request is scoped to.
    pub organization_id: OrganizationId,
    /// What they may do there.
    pub role: Role,
}

impl Identity {
    /// Refuses callers that may only read.
    ///
    /// # Errors
    /// 403 for a viewer.
    pub fn may_write(&self) -> Result<(), Problem> {
        if self.role >= Role::Editor { Ok(()) } else { Err(Problem::forbidden()) }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    org: OrganizationId,
    role: Role,
    iat: i64,
    nbf: i64,
    exp: i64,
}

const ISSUER: &str = "pulsetrail";

/// Signs and reads access tokens: JSON Web Tokens (RFC 7519), HMAC-SHA-256, that and no other.
#[derive(Clone)]
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    lasts: Duration,
}

impl AccessTokens {
    /// Tokens signed with `secret` that are good for `seconds`.
    #[must_use]
    pub fn new(secret: &[u8], seconds: u32) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            lasts: Duration::seconds(i64::from(seconds)),
        }
    }

    /// A token for `identity`, and when it ends.
    ///
    /// # Errors
    /// When the signature cannot be made.
    pub fn issue(
        &self,
        identity: &Identity,
    ) -> Result<(String, Timestamp), jsonwebtoken::errors::Error> {
        let now = Utc::now();
        let expires_at = now + self.lasts;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: identity.user_id,
            org: identity.organization_id,
            role: identity.role,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)?;
        Ok((token, expires_at))
    }

    /// The caller that a token names, if it is good.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<Identity> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        Some(Identity { user_id: claims.sub, organization_id: claims.org, role: claims.role })
    }
}

impl<S> FromRequestParts<S> for Identity
where
    AccessTokens: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) =
            header.and_then(|value| value.split_once(' ')).ok_or_else(Problem::unauthorized)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::unauthorized());
        }
        AccessTokens::from_ref(state).read(token.trim()).ok_or_else(Problem::unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            user_id: UserId::default(),
            organization_id: OrganizationId::default(),
            role: Role::Editor,
        }
    }

    #[test]
    fn a_token_names_its_caller_and_no_other_key_reads_it() {
        let tokens = AccessTokens::new(&[7; 32], 60);
        let (token, _) = tokens.issue(&identity()).unwrap();
        assert_eq!(tokens.read(&token), Some(identity()));
        assert_eq!(AccessTokens::new(&[8; 32], 60).read(&token), None);
        assert_eq!(tokens.read(&token[..token.len() - 2]), None);
    }

    #[test]
    fn a_token_without_a_signature_is_not_good() {
        let tokens = AccessTokens::new(&[7; 32], 60);
        let (token, _) = tokens.issue(&identity()).unwrap();
        let claims = token.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"}
        assert_eq!(tokens.read(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.")), None);
    }
}
