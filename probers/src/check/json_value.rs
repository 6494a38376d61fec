//! What is asserted of the values in a JSON document.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use pulsetrail_domain::monitor::{JsonOperator, JsonPath};
use serde_json::Value;

use super::json::{self, Evaluation, Node};
use super::pattern::Patterns;
use super::text::Text;
use super::work::{Budget, Exceeded};

/// A body that is read as JSON when it is first needed.
pub(super) struct Document<'a> {
    text: &'a Text<'a>,
    /// None inside where it is no JSON.
    read: Option<Option<Node<'a>>>,
}

impl<'a> Document<'a> {
    pub(super) fn of(text: &'a Text<'a>) -> Self {
        Self { text, read: None }
    }

    /// The document; none where it is no JSON.
    pub(super) fn root(&mut self, budget: &mut Budget) -> Result<Option<&Node<'a>>, Exceeded> {
        if self.read.is_none() {
            let read = if self.text.is_sound {
                json::read(&self.text.text, budget)
            } else {
                Err(json::Fault::Invalid)
            };
            self.read = Some(match read {
                Ok(root) => Some(root),
                Err(json::Fault::Invalid) => None,
                Err(json::Fault::Exceeded(exceeded)) => return Err(exceeded),
            });
        }
        Ok(self.read.as_ref().and_then(Option::as_ref))
    }
}

/// What was expected, for people.
pub(super) fn expectation(path: &str, operator: JsonOperator, value: &Value) -> String {
    let how = match operator {
        JsonOperator::Equals => "is",
        JsonOperator::NotEquals => "is not",
        JsonOperator::Contains => "contains",
        JsonOperator::Matches => "matches",
        JsonOperator::LessThan => "is less than",
        JsonOperator::AtMost => "is at most",
        JsonOperator::GreaterThan => "is greater than",
        JsonOperator::AtLeast => "is at least",
        JsonOperator::Exists => return format!("that {path} is there"),
        JsonOperator::Absent => return format!("that {path} is not there"),
    };
    format!("that {path} {how} {value}")
}

/// What a look at a document found.
pub(super) struct Look {
    pub(super) is_good: bool,
    /// The first value at the path, in short.
    pub(super) first: Option<String>,
}

/// Looks whether one of the values at `path` compares well. It stops at the first that does.
pub(super) fn look(
    (root, path): (&Node<'_>, &JsonPath),
    (operator, value): (JsonOperator, &Value),
    max_shown: usize,
    budget: &mut Budget,
    patterns: &mut Patterns,
) -> Result<Look, Exceeded> {
    let written = value.to_string();
    // It was JSON a moment ago.
    let value = match json::read(&written, budget) {
        Ok(value) => value,
        Err(json::Fault::Exceeded(exceeded)) => return Err(exceeded),
        Err(json::Fault::Invalid) => Node::Null,
    };
    let mut found = Look { is_good: false, first: None };
    Evaluation::of(root, budget, patterns).select(path, &mut |evaluation, node| {
        if found.first.is_none() {
            found.first = Some(node.shown(max_shown));
        }
        found.is_good = compares(evaluation, operator, node, &value)?;
        let is_settled = found.is_good || operator == JsonOperator::Absent;
        Ok(if is_settled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if operator == JsonOperator::Absent {
        found.is_good = found.first.is_none();
    }
    Ok(found)
}

fn compares(
    evaluation: &mut Evaluation<'_, '_>,
    operator: JsonOperator,
    node: &Node<'_>,
    value: &Node<'_>,
) -> Result<bool, Exceeded> {
    let mut order = || match (node, value) {
        (Node::Number(_), Node::Number(_)) => evaluation.order(node, value),
        _ => Ok(None),
    };
    Ok(match operator {
        JsonOperator::Exists => true,
        JsonOperator::Absent => false,
        JsonOperator::Equals => evaluation.same(node, value)?,
        JsonOperator::NotEquals => !evaluation.same(node, value)?,
        JsonOperator::Contains => match (node, value) {
            (Node::Text(text), Node::Text(part)) => {
                evaluation.spend_bytes(text.len())?;
                text.contains(part.as_ref())
            }
            (Node::Array(_, items), value) => {
                for item in items {
                    if evaluation.same(item, value)? {
                        return Ok(true);
                    }
                }
                false
            }
            _ => false,
        },
        JsonOperator::Matches => match (node, value) {
            (Node::Text(text), Node::Text(pattern)) => {
                evaluation.is_match(pattern, text)? == Some(true)
            }
            _ => false,
        },
        JsonOperator::LessThan => order()? == Some(Ordering::Less),
        JsonOperator::AtMost => order()?.is_some_and(Ordering::is_le),
        JsonOperator::GreaterThan => order()? == Some(Ordering::Greater),
        JsonOperator::AtLeast => order()?.is_some_and(Ordering::is_ge),
    })
}
