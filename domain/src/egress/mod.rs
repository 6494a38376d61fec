//! Which addresses may be dialled on a user's behalf: the table of ranges, and the judgement.
//!
//! This is the pure half of the shield. Commands judge with it what a registered URL says outright;
//! the prober judges with it every address that a name leads to, right before it dials.

mod embedded;
mod event;
mod judge;
mod ranges;
mod refusal;
mod rules;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod written_tests;

pub use embedded::{Embedding, embedded_ipv4};
pub use event::{EgressEvent, EgressOrigin};
pub use judge::{EgressPolicy, OWN_RANGE, Ruling, Verdict};
pub use ranges::{RANGES, Range, most_specific};
pub use refusal::Refusal;
pub use rules::{AddressRange, Opening};
