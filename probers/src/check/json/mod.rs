//! JSON documents whose reading, querying and comparing is counted, and whose numbers are exact.

mod document;
mod number;
mod query;

pub(super) use document::{Fault, Node, read};
pub(super) use query::Evaluation;

#[cfg(test)]
#[path = "../tests/json_path.rs"]
mod tests;
