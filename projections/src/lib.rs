//! The read side: the projections that follow the log, the queries over them, and the live feed.

mod analytics;
mod backoff;
pub mod dashboard;
pub mod live;
pub mod projector;
mod queries;
mod system;
pub mod views;

pub use live::{LiveHub, LiveLimits};
pub use queries::{QueryState, components, documented_router, router};
pub use system::Installation;
