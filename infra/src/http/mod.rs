//! What the write side and the read side of the HTTP interface share: one form of errors, one way to
//! know who asks.

mod identity;
mod monitor_body;
mod page;
mod problem;

pub use identity::{AccessTokens, Identity, Role};
pub use monitor_body::{
    MONITOR_BODY_COLUMNS, MONITOR_BODY_TABLES, MonitorBody, MonitorParts, load_monitor_body,
    monitor_body_after_command,
};
pub use page::{Page, Pagination};
pub use problem::Problem;
