//! The private engines and their supervisor, against the real programs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod data_dir;
mod private;
mod supervisor;
mod support;
