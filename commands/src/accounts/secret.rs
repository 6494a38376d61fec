//! Secrets that the server makes: 244 random bits as text, kept as a hash.

use pulsetrail_domain::SessionId;
use pulsetrail_infra::http::{API_KEY_PREFIX, secret_hash};
use uuid::Uuid;

/// A new secret. It shows in no log and is told to its owner once.
pub struct Secret(String);

impl Secret {
    /// A new API key.
    #[must_use]
    pub fn api_key() -> Self {
        Self(format!("{API_KEY_PREFIX}{}", random()))
    }

    /// A new invitation.
    #[must_use]
    pub fn invitation() -> Self {
        Self(format!("inv_{}", random()))
    }

    /// A new token of a heartbeat monitor.
    #[must_use]
    pub fn heartbeat() -> Self {
        Self(format!("hb_{}", random()))
    }

    /// A new refresh token of a session.
    #[must_use]
    pub fn refresh_token(session_id: SessionId) -> Self {
        Self(format!("{}.{}", session_id.0.simple(), random()))
    }

    /// How it is kept.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        secret_hash(&self.0)
    }

    /// Its last characters, by which people tell secrets apart.
    #[must_use]
    pub fn hint(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect()
    }

    /// The secret itself, for its owner.
    #[must_use]
    pub fn reveal(self) -> String {
        self.0
    }
}

/// The session that a refresh token says it is of.
#[must_use]
pub fn session_of(refresh_token: &str) -> Option<SessionId> {
    let (session_id, _) = refresh_token.split_once('.')?;
    session_id.parse().ok()
}

fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_the_same_and_each_is_known_by_its_hash() {
        let (one, other) = (Secret::api_key(), Secret::api_key());
        assert_ne!(one.hash(), other.hash());
        let (hash, hint) = (one.hash(), one.hint());
        let text = one.reveal();
        assert!(text.starts_with("pt_") && text.ends_with(&hint) && hint.len() == 4);
        assert_eq!(secret_hash(&text), hash);
    }

    #[test]
    fn a_refresh_token_names_its_session() {
        let session_id = SessionId(Uuid::from_u128(7));
        let token = Secret::refresh_token(session_id).reveal();
        assert_eq!(session_of(&token), Some(session_id));
        for text in ["", ".", "x.y", "pt_1"] {
            assert_eq!(session_of(text), None, "{text}");
        }
    }
}
