//! Passwords: the rule they follow and how they are kept.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use pulsetrail_domain::text::is_blank;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// A password that somebody chose or typed. It shows in no log and is compared with nothing but a
/// hash.
pub struct Password(String);

/// The text cannot be a password.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must have 8 to 256 characters, and not only white space")]
pub struct InvalidPassword;

impl TryFrom<String> for Password {
    type Error = InvalidPassword;

    /// Length alone is asked for, as NIST SP 800-63B advises; no character is refused, but a password of
    /// nothing that is seen.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Counted only where the count can be in range: a character has at most 4 bytes.
        let fits = text.len() <= 4 * 256 && (8..=256).contains(&text.chars().count());
        if fits && !is_blank(&text) { Ok(Self(text)) } else { Err(InvalidPassword) }
    }
}

/// Why a password was neither hashed nor verified.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFailure {
    /// Too many others are waiting: the caller may try again later.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The hash cannot be made, or the one in the store is none: an operator must look.
    #[error("a password hash cannot be used: {0}")]
    Hash(#[from] password_hash::Error),
    /// The task that hashes was ended.
    #[error("the hashing was ended")]
    Ended,
}

/// Hashes and verifies passwords with Argon2id, off the executor, and no more at once than there are
/// cores: a flood of logins takes neither the process nor its memory.
#[derive(Clone)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    /// What a password is verified against where there is no such account, so that the answer takes
    /// as long. No password is known to lead to it.
    nobodys_hash: Arc<str>,
    permits: Arc<Semaphore>,
    /// How long a caller waits for its turn.
    longest_wait: Duration,
    computed: Arc<AtomicU64>,
}

impl Default for PasswordHasher {
    /// m = 19,456 KiB, t = 2, p = 1 (OWASP Password Storage Cheat Sheet).
    fn default() -> Self {
        Self::with_params(Params::DEFAULT)
    }
}

impl PasswordHasher {
    /// With a memory in KiB, passes and lanes; the usual ones where Argon2 refuses these. Hashes that
    /// were made with other ones are verified all the same.
    #[must_use]
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Self {
        let params = Params::new(memory_kib, iterations, parallelism, None);
        Self::with_params(params.unwrap_or(Params::DEFAULT))
    }

    fn with_params(params: Params) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobodys = argon2.hash_password(Uuid::new_v4().as_bytes());
        // Hashing 16 bytes fails only where the machine has no randomness; then nobody gets in.
        let nobodys_hash = nobodys.map_or_else(|_| String::new(), |hash| hash.to_string()).into();
        Self {
            argon2,
            nobodys_hash,
            permits: Arc::new(Semaphore::new(cores)),
            longest_wait: Duration::from_secs(5),
            computed: Arc::default(),
        }
    }

    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// See [`PasswordFailure`].
    pub async fn hash(&self, password: Password) -> Result<String, PasswordFailure> {
        self.run(move |argon2| Ok(argon2.hash_password(password.0.as_bytes())?.to_string())).await
    }

    /// Whether a password leads to the stored hash. Where there is none the answer is no, after the
    /// same work.
    ///
    /// # Errors
    /// See [`PasswordFailure`].
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<bool, PasswordFailure> {
        let nobodys_hash = Arc::clone(&self.nobodys_hash);
        self.run(move |argon2| {
            let exists = stored.is_some();
            let hash = stored.as_deref().unwrap_or(&nobodys_hash);
            match argon2.verify_password(password.0.as_bytes(), hash) {
                Ok(()) => Ok(exists),
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// How many hashes were computed so far, to make or to verify one.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Argon2<'static>) -> Result<T, PasswordFailure> + Send + 'static,
    ) -> Result<T, PasswordFailure> {
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let permit = match tokio::time::timeout(self.longest_wait, waiting).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(PasswordFailure::Busy),
        };
        let argon2 = self.argon2.clone();
        self.computed.fetch_add(1, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            // Held by the work, not by its caller, who may be gone before it ends.
            let _permit = permit;
            work(argon2)
        })
        .await
        .map_err(|_| PasswordFailure::Ended)?
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    fn password(text: &str) -> Password {
        Password::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_password_has_8_to_256_characters() {
        let accepts = |text: String| Password::try_from(text).is_ok();
        assert!(!accepts("a".repeat(7)) && accepts("a".repeat(8)));
        assert!(accepts("a".repeat(256)) && !accepts("a".repeat(257)));
        assert!(accepts("🦀".repeat(256)) && !accepts("🦀".repeat(257)));
        assert!(!accepts("🦀".repeat(7)), "characters count, not bytes");
        assert!(!accepts(" ".repeat(8)) && !accepts("\u{200b}\t\u{a0}".repeat(8)));
        assert!(accepts("        x".to_owned()));
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_no_other_is() {
        let hasher = PasswordHasher::default();
        let hash = hasher.hash(password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify(password("correct horse"), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password("correct horsf"), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn where_there_is_no_account_the_same_work_is_done() {
        let hasher = PasswordHasher::default();
        assert!(!hasher.verify(password("correct horse"), None).await.unwrap());
        let made = hasher.hash(password("correct horse")).await.unwrap();
        let (made, nobodys) =
            (PasswordHash::new(&made).unwrap(), PasswordHash::new(&hasher.nobodys_hash).unwrap());
        assert_eq!(made.params, nobodys.params);
        assert_eq!(made.algorithm, nobodys.algorithm);
        assert_eq!(made.hash.unwrap().len(), nobodys.hash.unwrap().len());
        assert_eq!(made.salt.unwrap().len(), nobodys.salt.unwrap().len());
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_verified_all_the_same() {
        let before = PasswordHasher::new(8_192, 1, 1);
        let hash = before.hash(password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"), "{hash}");
        let after = PasswordHasher::default();
        assert!(after.verify(password("correct horse"), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn who_waits_too_long_for_a_turn_is_told_so() {
        let longest_wait = Duration::from_millis(10);
        let hasher = PasswordHasher { longest_wait, ..PasswordHasher::default() };
        let all = u32::try_from(hasher.permits.available_permits()).unwrap();
        let _taken = hasher.permits.acquire_many(all).await.unwrap();
        let refused = hasher.verify(password("correct horse"), None).await;
        assert!(matches!(refused, Err(PasswordFailure::Busy)));
    }
}
