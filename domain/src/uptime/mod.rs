//! Uptime: how long a monitor was up, down, paused, excluded or unknown, computed from its status
//! transitions and from the corrections that people made.
//!
//! Every surface that shows an uptime calls these functions, so that all show the same number. Times are
//! microseconds since the epoch, and all sums are integers: nothing is rounded before it is shown.
//!
//! At each moment the first of these that applies decides: paused, excluded (maintenance), false alarm
//! (counts as up), status.

mod borders;
mod corrections;
mod durations;
mod measure;
mod outages;
mod status;

#[cfg(test)]
mod oracle;

pub use borders::{BucketSize, MAX_BUCKETS, TooManyBuckets, borders};
pub use corrections::{Corrections, Spans};
pub use durations::{Durations, percent};
pub use measure::{Measure, measure};
pub use outages::{Outage, Outages};
pub use status::{Status, Transition};

use corrections::Corrected;
use status::StatusFold;
