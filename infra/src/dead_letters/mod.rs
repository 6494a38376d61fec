//! Dead letters (I8): messages and events that are themselves at fault, with their reason and origin.
//!
//! A dead letter is a row in Postgres, written in the transaction that passes the message, or before the
//! message's offset or the event's position is passed. `pulsetrail.dead-letters` carries a copy of each.
//! An engine that is away never makes one.

mod copy;
mod event_retries;
mod letter;
mod read;
mod retry;
mod save;
mod shown;

pub use copy::{DEAD_LETTERS, LETTER_TYPE, run};
pub use event_retries::{EventRetry, LOOK_FOR_RETRIES_EVERY};
pub use letter::{Letter, Origin, RETRY_HEADER, Reason, retried_letter};
pub use read::{LetterStatus, Scope, StoredLetter, list, show};
pub use retry::{RetryError, resolve, retry};
pub use shown::{LetterHeader, Shown};
