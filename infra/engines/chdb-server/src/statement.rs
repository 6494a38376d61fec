//! What kind of statement a request holds, and where the data of an INSERT begins.

use crate::exception::{Exception, Kind as Error};
use crate::lexer::{Kind, Lexer, Token};

/// A statement without its closing semicolons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// A SELECT in one of its forms; the engine can stream its output.
    Select(Query),
    /// An INSERT whose rows follow the statement.
    Insert(Insert),
    /// Everything else, an `INSERT … SELECT` too.
    Other(Query),
}

/// A statement that is complete in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// The statement's text.
    pub(crate) text: Vec<u8>,
    /// The format that the statement names itself.
    pub(crate) format: Option<String>,
    /// It only reads.
    pub(crate) reads_only: bool,
    /// Its output has parts beside the rows (totals, extremes, an enclosing array), so that blocks
    /// formatted one by one do not add up to it.
    pub(crate) has_framing: bool,
}

/// An INSERT, split at its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insert {
    /// `INSERT INTO table (columns)`.
    pub(crate) target: Vec<u8>,
    /// `SETTINGS …`, or nothing.
    pub(crate) settings: Vec<u8>,
    /// The format of the data.
    pub(crate) format: String,
    /// Where in the source the data begins.
    pub(crate) data_start: usize,
}

impl Insert {
    /// The same INSERT, reading its rows from a file. `path` comes from the server, never from a client.
    pub(crate) fn reading_file(&self, path: &[u8]) -> Vec<u8> {
        let mut text = self.target.clone();
        text.extend_from_slice(b" FROM INFILE ");
        text.extend(crate::sql::text_literal(path));
        text.extend_from_slice(b" COMPRESSION 'none' ");
        text.extend_from_slice(&self.settings);
        text.extend_from_slice(b" FORMAT ");
        text.extend_from_slice(self.format.as_bytes());
        text
    }
}

/// Reads a request's text. An INSERT is read as far as its data; what follows may be anything.
///
/// # Errors
/// An empty text, several statements, or reading and writing of local files.
pub(crate) fn parse(source: &[u8]) -> Result<Statement, Exception> {
    if let Some(insert) = Cursor::new(source).insert()? {
        crate::confinement::check(&insert.target)?;
        crate::confinement::check_piece(&insert.settings)?;
        // The engine would ignore what follows the rows.
        if insert.format.eq_ignore_ascii_case("Values") {
            let rows = source.get(insert.data_start..).unwrap_or_default();
            tokens_of_one_statement(rows)?;
        }
        return Ok(Statement::Insert(insert));
    }
    let (text, tokens) = single_statement(source)?;
    crate::confinement::check(text)?;
    let word = |index: usize| tokens.get(index).map(|token| upper(text, token)).unwrap_or_default();
    let first = tokens
        .iter()
        .find(|token| token.kind != Kind::Mark(b'('))
        .map(|token| upper(text, token))
        .unwrap_or_default();
    let has_word = |wanted: &str| {
        tokens.iter().any(|token| token.kind == Kind::Word && upper(text, token) == wanted)
    };
    let selects = matches!(first.as_str(), "SELECT" | "WITH" | "FROM") && !has_word("INSERT");
    let query = Query {
        format: output_format(text, &tokens),
        reads_only: selects
            || matches!(
                word(0).as_str(),
                "SHOW" | "DESCRIBE" | "DESC" | "EXISTS" | "EXPLAIN" | "CHECK"
            ),
        has_framing: ["TOTALS", "ROLLUP", "CUBE"].into_iter().any(has_word)
            || tokens.iter().any(|token| changes_framing(&upper(text, token))),
        text: text.to_vec(),
    };
    Ok(if selects { Statement::Select(query) } else { Statement::Other(query) })
}

/// Whether a setting makes the output more than its rows.
pub(crate) fn changes_framing(setting: &str) -> bool {
    setting.eq_ignore_ascii_case("extremes")
        || setting.eq_ignore_ascii_case("output_format_json_array_of_rows")
        || setting.eq_ignore_ascii_case("output_format_binary_encode_types_in_binary_format")
}

/// The text up to its first semicolon, when nothing but semicolons and comments follows.
fn single_statement(source: &[u8]) -> Result<(&[u8], Vec<Token>), Exception> {
    let (tokens, end) = tokens_of_one_statement(source)?;
    if tokens.is_empty() {
        return Err(Exception::new(Error::SyntaxError, "Empty query"));
    }
    Ok((source.get(..end).unwrap_or(source), tokens))
}

/// The tokens before the first semicolon, and where that is.
fn tokens_of_one_statement(source: &[u8]) -> Result<(Vec<Token>, usize), Exception> {
    let mut tokens = Vec::new();
    let mut end = None;
    for token in Lexer::new(source) {
        if token.kind == Kind::Mark(b';') {
            end.get_or_insert(token.range.start);
        } else if end.is_some() {
            return Err(Exception::new(
                Error::SyntaxError,
                "Syntax error (Multi-statements are not allowed)",
            ));
        } else {
            tokens.push(token);
        }
    }
    Ok((tokens, end.unwrap_or(source.len())))
}

/// The name behind a closing `FORMAT name [SETTINGS …]`.
fn output_format(text: &[u8], tokens: &[Token]) -> Option<String> {
    let settings = tokens
        .iter()
        .rposition(|token| token.kind == Kind::Word && upper(text, token) == "SETTINGS");
    [Some(tokens.len()), settings].into_iter().flatten().find_map(|end| {
        let [.., before, keyword, name] = tokens.get(..end)? else {
            return None;
        };
        let is_clause = keyword.kind == Kind::Word
            && upper(text, keyword) == "FORMAT"
            && name.kind == Kind::Word
            && !matches!(before.kind, Kind::Mark(mark) if mark != b')' && mark != b'*' && mark != b'}' && mark != b']')
            && !matches!(upper(text, before).as_str(), "BY" | "AS" | "SELECT" | "WHERE" | "AND" | "OR" | "NOT");
        is_clause.then(|| string(text, name))
    })
}

fn string(source: &[u8], token: &Token) -> String {
    String::from_utf8_lossy(source.get(token.range.clone()).unwrap_or_default()).into_owned()
}

fn upper(source: &[u8], token: &Token) -> String {
    string(source, token).to_ascii_uppercase()
}

/// Walks over an INSERT.
struct Cursor<'source> {
    source: &'source [u8],
    lexer: Lexer<'source>,
    next: Option<Token>,
    previous_end: usize,
}

impl<'source> Cursor<'source> {
    fn new(source: &'source [u8]) -> Self {
        let mut lexer = Lexer::new(source);
        let next = lexer.next();
        Self { source, lexer, next, previous_end: 0 }
    }

    fn advance(&mut self) {
        if let Some(token) = self.next.take() {
            self.previous_end = token.range.end;
        }
        self.next = self.lexer.next();
    }

    fn at_mark(&self, mark: u8) -> bool {
        self.next.as_ref().is_some_and(|token| token.kind == Kind::Mark(mark))
    }

    fn at_word(&self, word: &str) -> bool {
        self.next
            .as_ref()
            .is_some_and(|token| token.kind == Kind::Word && upper(self.source, token) == word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Moves behind a bracketed group, if one comes next.
    fn skip_group(&mut self, open: u8, close: u8) {
        if !self.at_mark(open) {
            return;
        }
        let mut depth = 0_usize;
        while let Some(token) = &self.next {
            if token.kind == Kind::Mark(open) {
                depth += 1;
            } else if token.kind == Kind::Mark(close) {
                depth = depth.saturating_sub(1);
            }
            self.advance();
            if depth == 0 {
                return;
            }
        }
    }

    /// Moves behind `name`, `{name:Identifier}`, or several joined with dots.
    fn skip_compound_name(&mut self) {
        loop {
            if self.at_mark(b'{') {
                self.skip_group(b'{', b'}');
            } else {
                self.advance();
            }
            if !self.at_mark(b'.') {
                return;
            }
            self.advance();
        }
    }

    fn skip_until_data(&mut self) {
        while self.next.is_some()
            && !self.at_mark(b';')
            && !["FORMAT", "VALUES", "SELECT", "WITH", "WATCH"]
                .iter()
                .any(|word| self.at_word(word))
        {
            match self.next.as_ref().map(|token| token.kind) {
                Some(Kind::Mark(b'(')) => self.skip_group(b'(', b')'),
                Some(Kind::Mark(b'{')) => self.skip_group(b'{', b'}'),
                _ => self.advance(),
            }
        }
    }

    /// The INSERT, if the text is one and is followed by data.
    fn insert(mut self) -> Result<Option<Insert>, Exception> {
        if !self.take_word("INSERT") {
            return Ok(None);
        }
        self.take_word("INTO");
        self.take_word("TABLE");
        let is_function = self.take_word("FUNCTION");
        self.skip_compound_name();
        if is_function {
            self.skip_group(b'(', b')');
        }
        if self.take_word("PARTITION") {
            self.take_word("BY");
            while self.next.is_some()
                && !["FORMAT", "VALUES", "SELECT", "SETTINGS"].iter().any(|word| self.at_word(word))
            {
                self.advance();
            }
        }
        let before_columns = self.lexer.clone();
        self.skip_group(b'(', b')');
        // `INSERT INTO t (SELECT …)` has no column list, and no data.
        let starts_query = before_columns
            .clone()
            .next()
            .is_some_and(|token| matches!(upper(self.source, &token).as_str(), "SELECT" | "WITH"));
        let target_end = self.previous_end;
        if self.at_word("SETTINGS") {
            self.skip_until_data();
        }
        let settings_end = self.previous_end;
        let values = self.at_word("VALUES");
        let format = if values {
            "Values".to_owned()
        } else if self.at_word("FORMAT") {
            self.advance();
            match &self.next {
                Some(name) if name.kind == Kind::Word => string(self.source, name),
                _ => return Ok(None),
            }
        } else {
            return Ok(None);
        };
        if starts_query && self.source.get(target_end.wrapping_sub(1)) != Some(&b')') {
            return Ok(None);
        }
        let name_end = self.next.as_ref().map_or(self.source.len(), |token| token.range.end);
        let slice =
            |range: std::ops::Range<usize>| self.source.get(range).unwrap_or_default().to_vec();
        Ok(Some(Insert {
            target: slice(0..target_end),
            settings: slice(target_end..settings_end),
            format,
            data_start: if values { name_end } else { data_start(self.source, name_end) },
        }))
    }
}

/// Behind the format's name: blanks, then at most one line end, belong to the statement.
fn data_start(source: &[u8], name_end: usize) -> usize {
    let rest = source.get(name_end..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0c)).count();
    let line_end = match rest.get(blanks..) {
        Some([b'\r', b'\n', ..]) => 2,
        Some([b'\n', ..]) => 1,
        _ => 0,
    };
    name_end + blanks + line_end
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
