//! How long a request may take.

use std::time::Duration;

/// How long a request may take in all, as the server that gives it up says in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTime(pub Duration);

impl Default for RequestTime {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}
