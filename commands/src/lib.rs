//! The write side: the REST command API, accounts, and the recorder of check results.

pub mod accounts;
pub mod annotations;
pub mod api;
mod heartbeats;
pub mod recorder;

pub use api::{CommandState, InstallationRules, components, documented_router, router};
