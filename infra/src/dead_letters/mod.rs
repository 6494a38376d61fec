//! Dead letters (I8): messages and events that are themselves at fault, with their reason and origin.
//!
//! A dead letter is a row in Postgres, written in the transaction that passes the message, or before the
//! message's offset or the event's position is passed. `pulsetrail.dead-letters` carries a copy of each.
//! An engine that is away never makes one.

mod copy;
mod letter;
mod log_retries;
mod read;
mod retry;
mod save;
mod shown;

pub use copy::{DEAD_LETTERS, LETTER_TYPE, run};
pub use letter::{Letter, Origin, RETRY_HEADER, Reason, retried_letter};
pub use log_retries::LogRetries;
pub use read::{LetterStatus, Scope, StoredLetter, list, show};
pub use retry::{RetryError, resolve, retry};
pub use shown::{LetterHeader, Shown};
