//! Just enough of ClickHouse's lexer to see where statements, strings and comments begin and end.
//!
//! It works on bytes and only as far as it is asked to, because an INSERT may carry binary data after
//! its text. Source of the rules: ClickHouse `src/Parsers/Lexer.cpp`.

use std::ops::Range;

/// What a token is; white space and comments are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, a bare identifier or a number.
    Word,
    /// `` `name` `` or `"name"`.
    QuotedIdentifier,
    /// `'text'` or `$tag$text$tag$`.
    Text,
    /// One byte of punctuation.
    Mark(u8),
}

/// A piece of the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

/// The tokens of a statement, in order.
#[derive(Clone)]
pub(crate) struct Lexer<'source> {
    source: &'source [u8],
    position: usize,
}

impl<'source> Lexer<'source> {
    pub(crate) fn new(source: &'source [u8]) -> Self {
        Self { source, position: 0 }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.position + ahead).copied()
    }

    fn rest(&self) -> &'source [u8] {
        self.source.get(self.position..).unwrap_or_default()
    }

    fn skip_blanks_and_comments(&mut self) {
        while let Some(byte) = self.peek(0) {
            let next = self.peek(1);
            let comment_end: &[u8] = match (byte, next) {
                (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, _) => {
                    self.position += 1;
                    continue;
                }
                (b'-', Some(b'-')) | (b'/', Some(b'/')) | (b'#', Some(b' ' | b'!')) => b"\n",
                (b'/', Some(b'*')) => b"*/",
                _ => match unicode_blank(self.rest()) {
                    0 => return,
                    length => {
                        self.position += length;
                        continue;
                    }
                },
            };
            self.position += 2;
            self.position += find(self.rest(), comment_end)
                .map_or(self.rest().len(), |found| found + comment_end.len());
        }
    }

    /// Moves behind a quoted piece whose opening quote is the next byte.
    fn skip_quoted(&mut self, quote: u8) {
        self.position += 1;
        while let Some(byte) = self.peek(0) {
            self.position += 1;
            if byte == b'\\' {
                self.position += 1;
            } else if byte == quote {
                if self.peek(0) != Some(quote) {
                    return;
                }
                self.position += 1;
            }
        }
        self.position = self.source.len();
    }

    /// Moves behind a piece in typographic quotes, which know no escapes.
    fn skip_typographic(&mut self, close: &str) {
        self.position += find(self.rest(), close.as_bytes())
            .map_or(self.rest().len(), |found| found + close.len());
    }

    /// Moves behind `$tag$text$tag$` when that is what comes next.
    fn skip_heredoc(&mut self) -> bool {
        let rest = self.rest();
        let Some(tag) = rest.get(1..).and_then(|text| find(text, b"$")) else {
            return false;
        };
        let (tag, text) = rest.split_at(tag + 2);
        let is_tag = tag.iter().all(|&byte| byte == b'$' || is_word(byte));
        match find(text, tag) {
            Some(length) if is_tag => {
                self.position += length + 2 * tag.len();
                true
            }
            _ => false,
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks_and_comments();
        let start = self.position;
        let kind = match self.peek(0)? {
            quote @ (b'`' | b'"') => {
                self.skip_quoted(quote);
                Kind::QuotedIdentifier
            }
            b'\'' => {
                self.skip_quoted(b'\'');
                Kind::Text
            }
            b'$' if self.skip_heredoc() => Kind::Text,
            0xe2 if self.rest().starts_with("‘".as_bytes()) => {
                self.skip_typographic("’");
                Kind::Text
            }
            0xe2 if self.rest().starts_with("“".as_bytes()) => {
                self.skip_typographic("”");
                Kind::QuotedIdentifier
            }
            byte if is_word(byte) => {
                let length = self.rest().iter().take_while(|&&byte| is_word(byte)).count();
                self.position += length;
                Kind::Word
            }
            mark => {
                self.position += 1;
                Kind::Mark(mark)
            }
        };
        Some(Token { kind, range: start..self.position.min(self.source.len()) })
    }
}

/// Where `needle` first occurs.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The length of the white space beyond ASCII at the beginning of `text`, which the engine skips too.
fn unicode_blank(text: &[u8]) -> usize {
    match text {
        [0xc2, 0x85 | 0xa0, ..] => 2,
        [0xe1, 0x9a, 0x80, ..]
        | [0xe1, 0xa0, 0x8e, ..]
        | [0xe2, 0x80, 0x80..=0x8d | 0xa8 | 0xa9 | 0xaf, ..]
        | [0xe2, 0x81, 0x9f | 0xa0, ..]
        | [0xe3, 0x80, 0x80, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(source: &str) -> Vec<&str> {
        Lexer::new(source.as_bytes()).map(|token| &source[token.range]).collect()
    }

    #[test]
    fn semicolons_in_strings_names_and_comments_are_not_marks() {
        assert_eq!(
            pieces("SELECT ';\\';', `a;``b`, \"c;\" -- ;\n/* ; */ FROM t # ;\n;"),
            ["SELECT", "';\\';'", ",", "`a;``b`", ",", "\"c;\"", "FROM", "t", ";"]
        );
    }

    #[test]
    fn a_doubled_quote_does_not_end_a_string() {
        assert_eq!(pieces("'a''b;' x"), ["'a''b;'", "x"]);
    }

    #[test]
    fn a_heredoc_is_one_string() {
        assert_eq!(
            pieces("SELECT $tag$ ; $$ ' $tag$, 1"),
            ["SELECT", "$tag$ ; $$ ' $tag$", ",", "1"]
        );
        assert_eq!(pieces("a$b"), ["a$b"]);
    }

    #[test]
    fn typographic_quotes_and_blanks_count() {
        assert_eq!(pieces("SELECT\u{2003}“f;”\u{feff}(‘;’)"), ["SELECT", "“f;”", "(", "‘;’", ")"]);
    }

    #[test]
    fn what_is_left_open_runs_to_the_end() {
        for source in ["'abc", "`abc", "/* abc", "-- abc", "'a\\"] {
            assert!(pieces(source).len() <= 1, "{source}");
        }
    }

    #[test]
    fn it_stops_before_what_it_is_not_asked_for() {
        let mut lexer = Lexer::new(b"INSERT \xff\xfe'");
        assert_eq!(lexer.next().map(|token| token.range), Some(0..6));
    }
}
