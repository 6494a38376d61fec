//! Secrets as they lie in the table and travel in jobs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulsetrail_domain::SecretId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The length of the name of a key, in bytes.
pub(super) const KEY_ID_BYTES: usize = 8;
/// The length of a nonce, in bytes (NIST SP 800-38D, 8.2).
pub(super) const NONCE_BYTES: usize = 12;

/// A secret that only who has the installation's key can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Which key it is sealed with.
    pub key_id: Vec<u8>,
    /// The nonce: 96 random bits.
    pub nonce: Vec<u8>,
    /// The secret, encrypted, and the tag behind it.
    pub ciphertext: Vec<u8>,
}

impl SealedSecret {
    /// As one text: the three parts behind one another, in base64.
    #[must_use]
    pub fn to_text(&self) -> String {
        STANDARD.encode([&self.key_id[..], &self.nonce, &self.ciphertext].concat())
    }

    /// Out of such a text; none where it is none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (key_id, rest) = bytes.split_at_checked(KEY_ID_BYTES)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES)?;
        let [key_id, nonce, ciphertext] = [key_id, nonce, ciphertext].map(<[u8]>::to_vec);
        Some(Self { key_id, nonce, ciphertext })
    }
}

impl Serialize for SealedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

impl<'de> Deserialize<'de> for SealedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_text(&text).ok_or_else(|| de::Error::custom("is no sealed secret"))
    }
}

/// The sealed secrets of a job, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecrets(pub BTreeMap<SecretId, SealedSecret>);

impl SealedSecrets {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of the given ids, as far as there are any.
    #[must_use]
    pub fn of(&self, ids: impl IntoIterator<Item = SecretId>) -> Self {
        let found = |id| Some((id, self.0.get(&id)?.clone()));
        Self(ids.into_iter().filter_map(found).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_is_read_as_it_was_written() {
        let sealed =
            SealedSecret { key_id: vec![1; 8], nonce: vec![2; 12], ciphertext: vec![3; 20] };
        assert_eq!(SealedSecret::from_text(&sealed.to_text()), Some(sealed.clone()));
        let all = SealedSecrets([(SecretId::default(), sealed)].into());
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<SealedSecrets>(&json).unwrap(), all);
        for text in ["", "AAAA", "not base64", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(SealedSecret::from_text(text), None, "{text}");
        }
    }
}
