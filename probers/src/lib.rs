//! The outward side of Pulsetrail: the scheduler that says what is due, the shield that every dial
//! goes through, the checks, and the prober that makes them.

pub mod check;
mod outbox;
pub mod prober;
pub mod scheduler;
pub mod shield;
