//! What the write side and the read side of the HTTP interface share: one form of errors, one way to
//! know who asks.

mod identity;
mod page;
mod problem;

pub use identity::{AccessTokens, Identity, Role};
pub use page::{Page, Pagination};
pub use problem::Problem;
