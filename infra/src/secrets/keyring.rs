//! The installation's keys: one to seal with, and those before it to open with.

use pulsetrail_domain::{OrganizationId, SecretId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::{Zeroize as _, Zeroizing};

use super::sealed::{KEY_ID_BYTES, NONCE_BYTES};
use super::{SealedSecret, SecretText};

/// Keeps these keys apart from any that somebody else derives of the same text.
const SALT: &[u8] = b"pulsetrail secrets v1";

/// Seals secrets and opens them. A key of the installation is any text; of it three keys are derived
/// (HKDF, RFC 5869): the name that sealed secrets carry, one for AES-256-GCM, and one for fingerprints.
#[derive(Debug)]
pub struct Keyring {
    newest: Key,
    previous: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: [u8; KEY_ID_BYTES],
    sealing: LessSafeKey,
    fingerprints: hmac::Key,
}

/// The machine has no randomness to give, or its cryptography fails: nothing can be sealed here.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("secrets cannot be sealed on this machine")]
pub struct CryptographyError;

/// A secret could not be opened: it has to be given again, or the key that it was sealed with named.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// It was sealed with a key that is not here.
    #[error("it is sealed with a key that is not known here")]
    UnknownKey,
    /// It is not what was sealed, or it is another organization's or another secret.
    #[error("it is not what was sealed")]
    Altered,
}

impl Keyring {
    /// Seals with `newest`, and opens also what was sealed with one of `previous`.
    ///
    /// # Errors
    /// [`CryptographyError`].
    pub fn new(newest: &SecretText, previous: &[SecretText]) -> Result<Self, CryptographyError> {
        let derive = |text| Key::derive(text).map_err(|_| CryptographyError);
        let previous = previous.iter().map(derive).collect::<Result<_, _>>()?;
        Ok(Self { newest: derive(newest)?, previous })
    }

    /// Seals a secret of an organization. The id goes with it: what is sealed for one secret or one
    /// organization does not open for another.
    ///
    /// # Errors
    /// [`CryptographyError`].
    pub fn seal(
        &self,
        organization_id: OrganizationId,
        secret_id: SecretId,
        secret: &SecretText,
    ) -> Result<SealedSecret, CryptographyError> {
        let mut nonce = [0; NONCE_BYTES];
        SystemRandom::new().fill(&mut nonce).map_err(|_| CryptographyError)?;
        let mut text = secret.expose().as_bytes().to_vec();
        let tag = self.newest.sealing.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            about(organization_id, secret_id),
            &mut text,
        );
        let Ok(tag) = tag else {
            text.zeroize();
            return Err(CryptographyError);
        };
        text.extend_from_slice(tag.as_ref());
        Ok(SealedSecret {
            key_id: self.newest.id.to_vec(),
            nonce: nonce.to_vec(),
            ciphertext: text,
        })
    }

    /// Opens a secret of an organization.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &self,
        organization_id: OrganizationId,
        secret_id: SecretId,
        sealed: &SealedSecret,
    ) -> Result<SecretText, OpenError> {
        let key = self.keys().find(|key| key.id[..] == sealed.key_id[..]);
        let key = key.ok_or(OpenError::UnknownKey)?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce);
        let nonce = nonce.map_err(|_| OpenError::Altered)?;
        let mut text = Zeroizing::new(sealed.ciphertext.clone());
        let about = about(organization_id, secret_id);
        let opened = key.sealing.open_in_place(nonce, about, &mut text);
        let opened = opened.map_err(|_| OpenError::Altered)?;
        let opened = std::str::from_utf8(opened).map_err(|_| OpenError::Altered)?;
        Ok(SecretText::from(opened.to_owned()))
    }

    /// What `bytes` are known by, where they may hold a secret and must not be guessed from it: an HMAC
    /// (RFC 2104) with each key, the newest first. Compare with all of them, keep the first.
    #[must_use]
    pub fn fingerprints(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.keys().map(|key| hmac::sign(&key.fingerprints, bytes).as_ref().to_vec()).collect()
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.newest).chain(&self.previous)
    }
}

/// What a sealed secret is bound to.
fn about(organization_id: OrganizationId, secret_id: SecretId) -> Aad<[u8; 32]> {
    let mut bytes = [0; 32];
    let (organization, secret) = bytes.split_at_mut(16);
    organization.copy_from_slice(organization_id.0.as_bytes());
    secret.copy_from_slice(secret_id.0.as_bytes());
    Aad::from(bytes)
}

/// A name of a key is as long as this says.
struct IdLength;

impl KeyType for IdLength {
    fn len(&self) -> usize {
        KEY_ID_BYTES
    }
}

impl Key {
    fn derive(text: &SecretText) -> Result<Self, Unspecified> {
        let of = Salt::new(HKDF_SHA256, SALT).extract(text.expose().as_bytes());
        let mut id = [0; KEY_ID_BYTES];
        of.expand(&[b"id"], IdLength)?.fill(&mut id)?;
        let sealing = UnboundKey::from(of.expand(&[b"seal"], &AES_256_GCM)?);
        let fingerprints = hmac::Key::from(of.expand(&[b"fingerprint"], HMAC_SHA256)?);
        Ok(Self { id, sealing: LessSafeKey::new(sealing), fingerprints })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(1));
    const ID: SecretId = SecretId(Uuid::from_u128(2));

    fn text(text: &str) -> SecretText {
        SecretText::from(text.to_owned())
    }

    fn keyring(newest: &str, previous: &[&str]) -> Keyring {
        let previous: Vec<SecretText> = previous.iter().map(|one| text(one)).collect();
        Keyring::new(&text(newest), &previous).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_and_holds_nothing_of_it() {
        let keyring = keyring("a", &[]);
        let sealed = keyring.seal(ORGANIZATION, ID, &text("hunter2")).unwrap();
        assert_eq!(keyring.open(ORGANIZATION, ID, &sealed).unwrap().expose(), "hunter2");
        assert!(!sealed.ciphertext.windows(7).any(|window| window == b"hunter2"));
        // The same secret again is sealed in another way.
        let again = keyring.seal(ORGANIZATION, ID, &text("hunter2")).unwrap();
        assert_ne!(again.ciphertext[..7], sealed.ciphertext[..7]);
        assert!(!format!("{keyring:?}").contains("hunter2"));
    }

    #[test]
    fn it_opens_for_no_other_organization_or_secret_and_not_once_it_was_altered() {
        let keyring = keyring("a", &[]);
        let sealed = keyring.seal(ORGANIZATION, ID, &text("hunter2")).unwrap();
        let open = |organization, id, sealed: &SealedSecret| {
            keyring.open(organization, id, sealed).map(|_| ()).unwrap_err()
        };
        let other = Uuid::from_u128(3);
        assert_eq!(open(OrganizationId(other), ID, &sealed), OpenError::Altered);
        assert_eq!(open(ORGANIZATION, SecretId(other), &sealed), OpenError::Altered);
        for place in 0..sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            altered.ciphertext[place] ^= 1;
            assert_eq!(open(ORGANIZATION, ID, &altered), OpenError::Altered, "byte {place}");
        }
        let cut = SealedSecret { ciphertext: Vec::new(), ..sealed.clone() };
        assert_eq!(open(ORGANIZATION, ID, &cut), OpenError::Altered);
        let no_nonce = SealedSecret { nonce: Vec::new(), ..sealed };
        assert_eq!(open(ORGANIZATION, ID, &no_nonce), OpenError::Altered);
    }

    #[test]
    fn a_key_is_replaced_while_what_it_sealed_still_opens() {
        let before = keyring("a", &[]);
        let sealed = before.seal(ORGANIZATION, ID, &text("hunter2")).unwrap();
        let after = keyring("b", &["a"]);
        assert_eq!(after.open(ORGANIZATION, ID, &sealed).unwrap().expose(), "hunter2");
        let newer = after.seal(ORGANIZATION, ID, &text("hunter2")).unwrap();
        assert_eq!(before.open(ORGANIZATION, ID, &newer).unwrap_err(), OpenError::UnknownKey);
        assert_eq!(keyring("b", &[]).open(ORGANIZATION, ID, &newer).unwrap().expose(), "hunter2");
        assert_eq!(after.fingerprints(b"x")[1], before.fingerprints(b"x")[0]);
        assert_ne!(after.fingerprints(b"x")[0], before.fingerprints(b"x")[0]);
    }
}
