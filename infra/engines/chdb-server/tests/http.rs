//! Starts the server on a free port with a directory of its own, and drives it as clients do.
//!
//! The engine is `$PULSETRAIL_CHDB_LIB`, or what `make engines` installed in the cache directory. Without
//! either these tests fail: there is nothing to test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by a panic that it failed; the lints know only functions marked as tests"
)]

mod http {
    pub(crate) mod client;
    pub(crate) mod confinement;
    pub(crate) mod encodings;
    pub(crate) mod errors;
    pub(crate) mod interface;
    pub(crate) mod lifecycle;
    pub(crate) mod server;
    pub(crate) mod sessions;
}
