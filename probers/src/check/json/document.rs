//! A JSON document as it is queried.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::check::work::{Budget, Exceeded};

/// How deeply arrays and objects may be nested, as in serde_json.
const MAX_DEPTH: usize = 128;

/// A value of a document.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// An array: as it is written, and its elements.
    Array(&'a str, Vec<Node<'a>>),
    /// An object: as it is written, and its members in the order of their names. Of several members of one name
    /// the last one counts.
    Object(&'a str, Vec<(String, Node<'a>)>),
}

/// Why a text is not read as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It takes too much.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// It is no JSON.
    #[error("a body that is no JSON")]
    Invalid,
}

/// Reads a document. Every byte is paid for once for each array or object that it is in.
pub(crate) fn read<'a>(text: &'a str, budget: &mut Budget) -> Result<Node<'a>, Fault> {
    budget.spend(text.len() as u64 / 4)?;
    node(parse::<&RawValue>(text)?.get(), MAX_DEPTH, budget)
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Invalid)
}

/// The value that is written so. It was parsed before: only texts of lone surrogates, and what is nested too
/// deeply, are still refused.
fn node<'a>(raw: &'a str, depth_left: usize, budget: &mut Budget) -> Result<Node<'a>, Fault> {
    budget.spend(2 + raw.len() as u64 / 4)?;
    Ok(match raw.as_bytes().first() {
        Some(b'n') => Node::Null,
        Some(b't') => Node::Bool(true),
        Some(b'f') => Node::Bool(false),
        Some(b'"') => Node::Text(text(raw)?),
        Some(b'[') => {
            let inner = depth_left.checked_sub(1).ok_or(Fault::Invalid)?;
            let elements = parse::<Vec<&RawValue>>(raw)?;
            let elements = elements.into_iter().map(|one| node(one.get(), inner, budget));
            Node::Array(raw, elements.collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let inner = depth_left.checked_sub(1).ok_or(Fault::Invalid)?;
            let members = parse::<BTreeMap<String, &RawValue>>(raw)?;
            let members = members.into_iter();
            let members = members.map(|(name, one)| Ok((name, node(one.get(), inner, budget)?)));
            Node::Object(raw, members.collect::<Result<_, Fault>>()?)
        }
        _ => Node::Number(Cow::Borrowed(raw)),
    })
}

/// A text without its quotes.
fn text(raw: &str) -> Result<Cow<'_, str>, Fault> {
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => parse(raw).map(Cow::Owned),
    }
}

impl Node<'_> {
    /// The member of that name, if it is an object that has one.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(_, members) = self else { return None };
        let found = members.binary_search_by(|(key, _)| key.as_str().cmp(name)).ok()?;
        members.get(found).map(|(_, node)| node)
    }

    /// Its elements, if it is an array.
    pub(super) fn elements(&self) -> Option<&[Self]> {
        if let Self::Array(_, elements) = self { Some(elements) } else { None }
    }

    /// Its elements or the values of its members.
    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        let (elements, members) = match self {
            Self::Array(_, elements) => (elements.as_slice(), &[][..]),
            Self::Object(_, members) => (&[][..], members.as_slice()),
            _ => (&[][..], &[][..]),
        };
        elements.iter().chain(members.iter().map(|(_, node)| node))
    }

    /// The first `characters` of how it is written.
    pub(crate) fn shown(&self, characters: usize) -> String {
        let cut = |text: &str| text.chars().take(characters).collect::<String>();
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => format!("{:?}", cut(text)),
            Self::Number(written) => cut(written),
            Self::Array(written, _) | Self::Object(written, _) => cut(written),
        }
    }
}
