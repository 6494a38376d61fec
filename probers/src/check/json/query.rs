//! Evaluation of JSON paths (RFC 9535): node by node, without lists in between, and each step counted. The stack is
//! bounded by the depth of the path and of the document.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use pulsetrail_domain::monitor::json_path::{
    Comparison, JsonPath, Logical, Operand, Segment, Selector,
};

use super::document::Node;
use super::number;
use crate::check::pattern::{End, Patterns};
use crate::check::work::{Budget, Exceeded};

/// Evaluates queries of one document.
pub(crate) struct Evaluation<'d, 'b> {
    root: &'d Node<'d>,
    budget: &'b mut Budget,
    patterns: &'b mut Patterns,
}

/// Whether the search for more nodes goes on.
type Flow = Result<ControlFlow<()>, Exceeded>;

/// What an operand is; none where a query selects nothing.
type Value<'v, 'd> = Option<Cow<'v, Node<'d>>>;

const ON: ControlFlow<()> = ControlFlow::Continue(());

impl<'d, 'b> Evaluation<'d, 'b> {
    /// Prepares queries of the document `root`.
    pub(crate) fn of(
        root: &'d Node<'d>,
        budget: &'b mut Budget,
        patterns: &'b mut Patterns,
    ) -> Self {
        Self { root, budget, patterns }
    }

    /// Tells `found` of each node that `path` selects, in order, until it breaks off.
    pub(crate) fn select(
        &mut self,
        path: &JsonPath,
        found: &mut dyn FnMut(&mut Self, &'d Node<'d>) -> Flow,
    ) -> Result<(), Exceeded> {
        self.from(self.root, path, found)
    }

    fn from(
        &mut self,
        current: &'d Node<'d>,
        path: &JsonPath,
        found: &mut dyn FnMut(&mut Self, &'d Node<'d>) -> Flow,
    ) -> Result<(), Exceeded> {
        let start = if path.relative { current } else { self.root };
        self.walk(start, &path.segments, found).map(|_stopped| ())
    }

    fn walk(
        &mut self,
        node: &'d Node<'d>,
        segments: &[Segment],
        found: &mut dyn FnMut(&mut Self, &'d Node<'d>) -> Flow,
    ) -> Flow {
        self.budget.spend(1)?;
        let Some((segment, rest)) = segments.split_first() else { return found(self, node) };
        for selector in &segment.selectors {
            if self.children(node, selector, rest, found)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if segment.descendants {
            for child in node.children() {
                if self.walk(child, segments, found)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ON)
    }

    /// Goes on from the children of `node` that `selector` selects.
    fn children(
        &mut self,
        node: &'d Node<'d>,
        selector: &Selector,
        rest: &[Segment],
        found: &mut dyn FnMut(&mut Self, &'d Node<'d>) -> Flow,
    ) -> Flow {
        self.budget.spend(1)?;
        match selector {
            Selector::Name(name) => {
                self.budget.spend_bytes(name.len())?;
                match node.member(name) {
                    Some(child) => self.walk(child, rest, found),
                    None => Ok(ON),
                }
            }
            Selector::Index(index) => {
                let elements = node.elements().unwrap_or_default();
                match at(elements.len(), *index).and_then(|index| elements.get(index)) {
                    Some(child) => self.walk(child, rest, found),
                    None => Ok(ON),
                }
            }
            Selector::Wildcard => {
                for child in node.children() {
                    if self.walk(child, rest, found)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ON)
            }
            Selector::Slice { start, end, step } => {
                let elements = node.elements().unwrap_or_default();
                for index in slice(elements.len(), *start, *end, *step) {
                    let Some(child) = elements.get(index) else { continue };
                    if self.walk(child, rest, found)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ON)
            }
            Selector::Filter(condition) => {
                for child in node.children() {
                    if self.holds(condition, child)? && self.walk(child, rest, found)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ON)
            }
        }
    }

    fn holds(&mut self, condition: &Logical, current: &'d Node<'d>) -> Result<bool, Exceeded> {
        self.budget.spend(1)?;
        match condition {
            Logical::Or(parts) => {
                for part in parts {
                    if self.holds(part, current)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Logical::And(parts) => {
                for part in parts {
                    if !self.holds(part, current)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Logical::Not(part) => self.holds(part, current).map(|holds| !holds),
            Logical::Exists(path) => Ok(self.first(path, current)?.is_some()),
            Logical::Compare(left, comparison, right) => {
                let left = self.value(left, current)?;
                let right = self.value(right, current)?;
                compares(left.as_deref(), *comparison, right.as_deref(), self.budget)
            }
            Logical::Matches { text, pattern, whole } => {
                let text = self.value(text, current)?;
                let pattern = self.value(pattern, current)?;
                let (Some(Node::Text(text)), Some(Node::Text(pattern))) =
                    (text.as_deref(), pattern.as_deref())
                else {
                    return Ok(false);
                };
                self.budget.spend_bytes(pattern.len())?;
                // A dot is no end of a line (RFC 9485, section 5.3).
                let pattern = if *whole {
                    format!("(?R)^(?:{pattern})$")
                } else {
                    format!("(?R)(?:{pattern})")
                };
                let found =
                    self.patterns.is_match(&pattern, (text, End::IsReached), self.budget)?;
                Ok(found.unwrap_or(false))
            }
        }
    }

    fn value<'v>(
        &mut self,
        operand: &'v Operand,
        current: &'d Node<'d>,
    ) -> Result<Value<'v, 'd>, Exceeded>
    where
        'd: 'v,
    {
        self.budget.spend(1)?;
        let owned = |node| Some(Cow::Owned(node));
        Ok(match operand {
            Operand::Null => owned(Node::Null),
            Operand::Bool(value) => owned(Node::Bool(*value)),
            Operand::Number(written) => {
                self.budget.spend_bytes(written.len())?;
                owned(Node::Number(Cow::Owned(written.clone())))
            }
            Operand::Text(text) => {
                self.budget.spend_bytes(text.len())?;
                owned(Node::Text(Cow::Owned(text.clone())))
            }
            Operand::Single(path) => self.first(path, current)?.map(Cow::Borrowed),
            Operand::Length(of) => {
                let length = match self.value(of, current)?.as_deref() {
                    Some(Node::Text(text)) => {
                        self.budget.spend_bytes(text.len())?;
                        text.chars().count()
                    }
                    Some(Node::Array(_, elements)) => elements.len(),
                    Some(Node::Object(_, members)) => members.len(),
                    _ => return Ok(None),
                };
                owned(count(length))
            }
            Operand::Count(path) => {
                let mut nodes = 0;
                self.from(current, path, &mut |_, _| {
                    nodes += 1;
                    Ok(ON)
                })?;
                owned(count(nodes))
            }
            Operand::Value(path) => {
                let mut nodes = 0;
                let mut only = None;
                self.from(current, path, &mut |_, node| {
                    nodes += 1;
                    only = (nodes == 1).then_some(node);
                    Ok(if nodes == 1 { ON } else { ControlFlow::Break(()) })
                })?;
                only.map(Cow::Borrowed)
            }
        })
    }

    /// The first node that `path` selects.
    fn first(
        &mut self,
        path: &JsonPath,
        current: &'d Node<'d>,
    ) -> Result<Option<&'d Node<'d>>, Exceeded> {
        let mut first = None;
        self.from(current, path, &mut |_, node| {
            first = Some(node);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// Whether `node` is the same value as `other`; numbers are compared exactly.
    pub(crate) fn same(&mut self, node: &Node<'_>, other: &Node<'_>) -> Result<bool, Exceeded> {
        same(node, other, self.budget)
    }

    /// Whether the pattern is found in the text; none where it is no regular expression, or one of too much.
    pub(crate) fn is_match(&mut self, pattern: &str, text: &str) -> Result<Option<bool>, Exceeded> {
        self.patterns.is_match(pattern, (text, End::IsReached), self.budget)
    }

    /// Pays for looking at so many bytes.
    pub(crate) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.budget.spend_bytes(bytes)
    }

    /// How two numbers or two texts compare; none of anything else.
    pub(crate) fn order(
        &mut self,
        node: &Node<'_>,
        other: &Node<'_>,
    ) -> Result<Option<Ordering>, Exceeded> {
        order(node, other, self.budget)
    }
}

fn count(number: usize) -> Node<'static> {
    Node::Number(Cow::Owned(number.to_string()))
}

/// An index from the beginning (RFC 9535, 2.3.3.2).
fn at(length: usize, index: i64) -> Option<usize> {
    usize::try_from(if index < 0 { index.saturating_add_unsigned(length as u64) } else { index })
        .ok()
}

/// The indices of a slice, in its order (RFC 9535, 2.3.4.2.2). There are at most as many as elements.
fn slice(
    length: usize,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_begin = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let (first, stop) = if step >= 0 {
        let bound = |index: i64| from_begin(index).clamp(0, length);
        (bound(start.unwrap_or(0)), bound(end.unwrap_or(length)))
    } else {
        let bound = |index: i64| from_begin(index).clamp(-1, length - 1);
        (start.map_or(length - 1, bound), end.map_or(-1, bound))
    };
    let goes_on =
        move |index: &i64| if step > 0 { *index < stop } else { step < 0 && *index > stop };
    let indices = std::iter::successors(Some(first), move |index| index.checked_add(step));
    indices.take_while(goes_on).filter_map(|index| usize::try_from(index).ok())
}

fn compares(
    left: Option<&Node<'_>>,
    comparison: Comparison,
    right: Option<&Node<'_>>,
    budget: &mut Budget,
) -> Result<bool, Exceeded> {
    let mut equal = || match (left, right) {
        (None, None) => Ok(true),
        (Some(left), Some(right)) => same(left, right, budget),
        _ => Ok(false),
    };
    match comparison {
        Comparison::Equal => return equal(),
        Comparison::NotEqual => return equal().map(|equal| !equal),
        // Equal values are also at most and at least each other, whatever they are (RFC 9535, 2.3.5.2.2).
        Comparison::AtMost | Comparison::AtLeast if equal()? => return Ok(true),
        _ => {}
    }
    let (Some(left), Some(right)) = (left, right) else { return Ok(false) };
    let order = order(left, right, budget)?;
    Ok(match comparison {
        Comparison::Less | Comparison::AtMost => order == Some(Ordering::Less),
        _ => order == Some(Ordering::Greater),
    })
}

fn order(
    one: &Node<'_>,
    other: &Node<'_>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, Exceeded> {
    match (one, other) {
        (Node::Number(one), Node::Number(other)) => {
            budget.spend(1 + (one.len() + other.len()) as u64)?;
            Ok(Some(number::compare(one, other)))
        }
        (Node::Text(one), Node::Text(other)) => {
            budget.spend_bytes(one.len().min(other.len()))?;
            Ok(Some(one.cmp(other)))
        }
        _ => Ok(None),
    }
}

fn same(one: &Node<'_>, other: &Node<'_>, budget: &mut Budget) -> Result<bool, Exceeded> {
    budget.spend(1)?;
    match (one, other) {
        (Node::Null, Node::Null) => Ok(true),
        (Node::Bool(one), Node::Bool(other)) => Ok(one == other),
        (Node::Number(_), Node::Number(_)) | (Node::Text(_), Node::Text(_)) => {
            Ok(order(one, other, budget)? == Some(Ordering::Equal))
        }
        (Node::Array(_, one), Node::Array(_, other)) if one.len() == other.len() => {
            for (one, other) in one.iter().zip(other) {
                if !same(one, other, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Node::Object(_, one), Node::Object(_, other)) if one.len() == other.len() => {
            for ((name, one), (other_name, other)) in one.iter().zip(other) {
                budget.spend_bytes(name.len())?;
                if name != other_name || !same(one, other, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}
