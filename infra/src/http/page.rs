//! Lists: `{items, next_cursor}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Problem;

/// One page of a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask the next page with; none at the end.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page out of `items`, of which one more than `limit` was asked for: that one shows that there
    /// is a next page, and `cursor` of the last item on this one leads to it.
    #[must_use]
    pub fn new(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(cursor);
        Self { items, next_cursor }
    }
}

/// The query parameters of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pagination {
    /// Items on a page: 1 to 1,000.
    pub limit: Option<usize>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl Pagination {
    /// The number of items asked for; 100 where it is left out.
    ///
    /// # Errors
    /// 400 outside 1 to 1,000.
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=1_000 => Ok(limit),
            _ => Err(Problem::bad_request("limit must be 1 to 1000")),
        }
    }
}
