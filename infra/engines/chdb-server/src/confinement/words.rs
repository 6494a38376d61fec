//! A statement as the names and marks that it consists of.

use crate::lexer::{Kind, Lexer};

/// The tokens of a statement, with their names in lower case and without quotes.
pub(super) struct Words(Vec<(Kind, String)>);

impl Words {
    pub(super) fn of(statement: &[u8]) -> Self {
        let tokens = Lexer::new(statement).map(|token| {
            let bytes = statement.get(token.range.clone()).unwrap_or_default();
            let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
            let name = match token.kind {
                Kind::QuotedIdentifier => text.trim_matches(['`', '"', '“', '”']).to_owned(),
                _ => text,
            };
            (token.kind, name)
        });
        Self(tokens.collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Every word and quoted identifier, with its place.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.0.iter().enumerate();
        names.filter_map(|(index, _)| Some((index, self.name(index)?)))
    }

    /// The word or quoted identifier at a place.
    pub(super) fn name(&self, index: usize) -> Option<&str> {
        let (kind, name) = self.0.get(index)?;
        matches!(kind, Kind::Word | Kind::QuotedIdentifier).then_some(name.as_str())
    }

    /// Whether a keyword is at a place: keywords are never quoted.
    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.0.get(index).is_some_and(|(kind, name)| *kind == Kind::Word && name == word)
    }

    pub(super) fn is_any(&self, index: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(index, word))
    }

    pub(super) fn is_quoted(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|(kind, _)| *kind == Kind::QuotedIdentifier)
    }

    pub(super) fn is_mark(&self, index: usize, mark: u8) -> bool {
        self.0.get(index).is_some_and(|(kind, _)| *kind == Kind::Mark(mark))
    }

    /// The place behind these words, if they are there.
    pub(super) fn skip(&self, index: usize, words: &[&str]) -> usize {
        let all = words.iter().enumerate().all(|(offset, word)| self.is(index + offset, word));
        if all { index + words.len() } else { index }
    }

    /// Where the name ends of the table that an INSERT fills or a CREATE makes: a bracket behind it opens a list
    /// of columns, not a call.
    pub(super) fn name_of_table(&self) -> Option<usize> {
        let start = if self.is(0, "insert") {
            let start = self.skip(self.skip(1, &["into"]), &["table"]);
            if self.is(start, "function") && !self.is_mark(start + 1, b'(') {
                return None;
            }
            start
        } else if self.is(0, "create") {
            let start = self.skip(self.skip(1, &["or", "replace"]), &["temporary"]);
            let start = self.skip(self.skip(start, &["materialized"]), &["view"]);
            self.skip(self.skip(start, &["table"]), &["if", "not", "exists"])
        } else {
            return None;
        };
        let mut end = start;
        while self.is_mark(end + 1, b'.') {
            end += 2;
        }
        Some(end)
    }
}
