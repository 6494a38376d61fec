//! JSON paths (RFC 9535), parsed with a bounded depth and in time that is linear in their length.

mod parse;
#[cfg(test)]
mod tests;
mod text;

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 4_096;
/// How deeply filters, parentheses and function calls may be nested. It bounds the stack of the parser and of
/// every evaluation.
pub const MAX_PATH_DEPTH: usize = 8;

/// A query: where to look, from the root of a document or from the current node of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    /// Whether it starts at the current node (`@`) instead of the root (`$`).
    pub relative: bool,
    /// The steps, in order.
    pub segments: Vec<Segment>,
}

/// One step of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whether the selectors apply to every descendant (`..`) instead of the node alone.
    pub descendants: bool,
    /// What is selected; the results of each follow those of the one before.
    pub selectors: Vec<Selector>,
}

/// Which children of a node are selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The member of that name.
    Name(String),
    /// Every child.
    Wildcard,
    /// The element at that index; a negative index counts from the end.
    Index(i64),
    /// Elements from `start` to before `end`, every `step`-th.
    Slice {
        /// The first index.
        start: Option<i64>,
        /// The index to stop before.
        end: Option<i64>,
        /// The distance between two elements; 0 selects nothing.
        step: i64,
    },
    /// The children for which it is true.
    Filter(Logical),
}

/// A condition of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logical {
    /// One is true.
    Or(Vec<Logical>),
    /// All are true.
    And(Vec<Logical>),
    /// It is false.
    Not(Box<Logical>),
    /// Two values compare so.
    Compare(Operand, Comparison, Operand),
    /// The query selects something.
    Exists(JsonPath),
    /// The text matches the pattern (RFC 9485): all of it (`match`), or a part of it (`search`).
    Matches {
        /// The text.
        text: Box<Operand>,
        /// The pattern.
        pattern: Box<Operand>,
        /// Whether all of the text must match.
        whole: bool,
    },
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text.
    Text(String),
    /// What a query selects that selects at most one node.
    Single(JsonPath),
    /// `length`: the characters of a text, or the children of an array or object.
    Length(Box<Operand>),
    /// `count`: how many nodes a query selects.
    Count(JsonPath),
    /// `value`: the node that a query selects, if it is the only one.
    Value(JsonPath),
}

impl JsonPath {
    /// Parses a JSON path, which begins at the root.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(path: &str) -> Result<Self, String> {
        if path.len() > MAX_PATH_BYTES {
            return Err(format!("must have at most {MAX_PATH_BYTES} bytes"));
        }
        parse::parse(path).map_err(|fault| match fault {
            parse::Fault::TooDeep => format!("must be nested at most {MAX_PATH_DEPTH} deep"),
            parse::Fault::Syntax(at) => format!("is no JSON path (RFC 9535) from byte {at} on"),
        })
    }

    /// Whether it can select at most one node (RFC 9535, 2.3.5.1: a singular query).
    #[must_use]
    pub fn is_singular(&self) -> bool {
        let one = |segment: &Segment| {
            !segment.descendants
                && matches!(segment.selectors.as_slice(), [Selector::Name(_) | Selector::Index(_)])
        };
        self.segments.iter().all(one)
    }
}
