//! What checks need and nobody may read: kept sealed with the installation's key, opened in a prober.
//!
//! A secret comes in over HTTP, is sealed at once ([`Keyring::seal`]), lies in the table `secrets`, travels
//! in jobs as it lies there ([`SealedSecrets`]), and is opened where the check is made ([`Keyring::open`]).
//! See `docs/decisions/secrets.md`.

mod keyring;
mod sealed;
mod text;

pub use keyring::{CryptographyError, Keyring, OpenError};
pub use sealed::{SealedSecret, SealedSecrets};
pub use text::{SecretText, SecretUrl};
