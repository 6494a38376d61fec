//! The web dashboard.

mod browser;
mod files;
