//! Access tokens: JSON Web Tokens (RFC 7519), HMAC-SHA-256, that and no other.

use chrono::{Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use pulsetrail_domain::{OrganizationId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const ISSUER: &str = "pulsetrail";
/// How far two clocks may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 5;

/// What a token says. What its bearer may do is not in it: that is asked of the tables with every
/// request, so that a changed role or an ended session counts at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// The person.
    pub user_id: UserId,
    /// The organization that their requests are scoped to.
    pub organization_id: OrganizationId,
    /// The session that the token belongs to.
    pub session_id: SessionId,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    org: OrganizationId,
    sid: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// One secret, and the name that a token's header has for it.
#[derive(Clone)]
struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        // A name that nobody can get the secret from, the same in every process.
        let digest = Sha256::new().chain_update(b"pulsetrail key id ").chain_update(secret);
        let digest = digest.finalize();
        Self {
            id: digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }
}

/// Signs and reads access tokens. The first key signs; every key is read, so that a secret can be
/// replaced while tokens of the one before are still about.
#[derive(Clone)]
pub struct AccessTokens {
    signing: Key,
    former: Vec<Key>,
    lasts: Duration,
}

impl AccessTokens {
    /// Tokens signed with `secret` that are good for `seconds`.
    #[must_use]
    pub fn new(secret: &[u8], seconds: u32) -> Self {
        let lasts = Duration::seconds(i64::from(seconds));
        Self { signing: Key::new(secret), former: Vec::new(), lasts }
    }

    /// The same, which reads tokens of a former secret too.
    #[must_use]
    pub fn also_read(mut self, secret: &[u8]) -> Self {
        self.former.push(Key::new(secret));
        self
    }

    /// A token, and when it ends.
    ///
    /// # Errors
    /// When the signature cannot be made.
    pub fn issue(
        &self,
        claims: &TokenClaims,
    ) -> Result<(String, Timestamp), jsonwebtoken::errors::Error> {
        let now = Utc::now();
        let expires_at = now + self.lasts;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: claims.user_id,
            org: claims.organization_id,
            sid: claims.session_id,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.signing.id.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.signing.encoding)?;
        Ok((token, expires_at))
    }

    /// What a token says and when it ends, if it is good.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<(TokenClaims, Timestamp)> {
        let key_id = jsonwebtoken::decode_header(token).ok()?.kid?;
        let mut keys = std::iter::once(&self.signing).chain(&self.former);
        let key = keys.find(|key| key.id == key_id)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok()?.claims;
        let Claims { sub: user_id, org: organization_id, sid: session_id, .. } = claims;
        let ends_at = Timestamp::from_timestamp(claims.exp, 0)?;
        Some((TokenClaims { user_id, organization_id, session_id }, ends_at))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn claims() -> TokenClaims {
        TokenClaims {
            user_id: UserId(Uuid::from_u128(1)),
            organization_id: OrganizationId(Uuid::from_u128(2)),
            session_id: SessionId(Uuid::from_u128(3)),
        }
    }

    /// A token of the tests' own making.
    fn signed(header: &Header, exp: i64, nbf: i64, secret: &[u8]) -> String {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: UserId::default(),
            org: OrganizationId::default(),
            sid: SessionId::default(),
            iat: nbf,
            nbf,
            exp,
        };
        jsonwebtoken::encode(header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    #[test]
    fn a_token_names_its_caller_and_no_other_key_reads_it() {
        let tokens = AccessTokens::new(&[7; 32], 60);
        let (token, ends_at) = tokens.issue(&claims()).unwrap();
        let (read, read_end) = tokens.read(&token).unwrap();
        assert_eq!((read, read_end.timestamp()), (claims(), ends_at.timestamp()));
        assert_eq!(AccessTokens::new(&[8; 32], 60).read(&token), None);
        assert_eq!(tokens.read(&token[..token.len() - 2]), None);
    }

    #[test]
    fn a_token_of_a_former_secret_is_read_and_none_is_signed_with_it() {
        let (token, _) = AccessTokens::new(&[7; 32], 60).issue(&claims()).unwrap();
        let rotated = AccessTokens::new(&[8; 32], 60).also_read(&[7; 32]);
        assert_eq!(rotated.read(&token).unwrap().0, claims());
        let (newer, _) = rotated.issue(&claims()).unwrap();
        assert_eq!(AccessTokens::new(&[7; 32], 60).read(&newer), None);
        assert_eq!(AccessTokens::new(&[8; 32], 60).read(&newer).unwrap().0, claims());
    }

    #[test]
    fn a_token_without_a_signature_is_not_good() {
        let tokens = AccessTokens::new(&[7; 32], 60);
        let (token, _) = tokens.issue(&claims()).unwrap();
        let claims = token.split('.').nth(1).unwrap();
        // {"alg":"none","typ":"JWT"}
        assert_eq!(tokens.read(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.")), None);
    }

    #[test]
    fn a_token_counts_only_in_its_time_and_with_its_own_algorithm() {
        let tokens = AccessTokens::new(&[7; 32], 60);
        let now = Utc::now().timestamp();
        let named =
            |algorithm| Header { kid: Some(tokens.signing.id.clone()), ..Header::new(algorithm) };
        let good = named(Algorithm::HS256);
        assert!(tokens.read(&signed(&good, now + 60, now, &[7; 32])).is_some());
        assert!(tokens.read(&signed(&good, now - 6, now - 60, &[7; 32])).is_none(), "expired");
        assert!(tokens.read(&signed(&good, now + 60, now + 30, &[7; 32])).is_none(), "not yet");
        assert!(tokens.read(&signed(&good, now + 60, now, &[8; 32])).is_none(), "another key");
        let longer = named(Algorithm::HS512);
        assert!(
            tokens.read(&signed(&longer, now + 60, now, &[7; 32])).is_none(),
            "another algorithm"
        );
        let nameless = Header::new(Algorithm::HS256);
        assert!(tokens.read(&signed(&nameless, now + 60, now, &[7; 32])).is_none(), "no key named");
    }
}
