//! The outward side of Pulsetrail: the scheduler that says what is due, the shield that every dial
//! goes through, the checks, and the prober that makes them.

// The tests share their entries with the fuzzer, which knows this crate by its name.
#[cfg(test)]
extern crate self as pulsetrail_probers;

pub mod check;
#[cfg(test)]
mod fuzz_tests;
mod outbox;
pub mod prober;
pub mod scheduler;
pub mod shield;
