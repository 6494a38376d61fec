//! Refuses statements that reach files of this machine in ways that the engine's own grants do not cover.
//!
//! The grants (see `engine_config`) refuse table functions, table engines and dictionaries that read
//! files or open sockets. What is left, and refused here: `FROM INFILE`, `INTO OUTFILE`, the scalar
//! function `file`, settings that name a file, and database engines other than the plain ones.

use crate::exception::{Exception, Kind as Error};
use crate::lexer::{Kind, Lexer, Token};

/// Settings that make the engine open a file or a socket of the client's choice.
const FORBIDDEN_SETTINGS: [&str; 6] = [
    "format_schema",
    "format_template_resultset",
    "format_template_row",
    "format_avro_schema_registry_url",
    "input_format_record_errors_file_path",
    "output_format_schema",
];

const DATABASE_ENGINES: [&str; 3] = ["atomic", "memory", "ordinary"];

/// # Errors
/// `ACCESS_DENIED`, naming what is refused.
pub(crate) fn check(statement: &[u8]) -> Result<(), Exception> {
    let tokens: Vec<(Token, String)> = Lexer::new(statement)
        .map(|token| {
            let name = name(statement, &token);
            (token, name)
        })
        .collect();
    let is_word = |index: usize, word: &str| {
        tokens.get(index).is_some_and(|(token, name)| token.kind == Kind::Word && name == word)
    };
    for (index, (token, name)) in tokens.iter().enumerate() {
        if !matches!(token.kind, Kind::Word | Kind::QuotedIdentifier) {
            continue;
        }
        check_setting(name)?;
        let previous = index.checked_sub(1).and_then(|previous| tokens.get(previous));
        if is_word(index, "outfile") && previous.is_some_and(|(_, name)| name == "into") {
            return Err(refused("INTO OUTFILE"));
        }
        if is_word(index, "infile") && previous.is_some_and(|(_, name)| name == "from") {
            return Err(refused("FROM INFILE"));
        }
        let is_call =
            tokens.get(index + 1).is_some_and(|(token, _)| token.kind == Kind::Mark(b'('));
        // `INSERT INTO file (a)` and `CREATE TABLE file (a Int8)` name a table.
        let is_table = previous.is_some_and(|(token, name)| {
            token.kind == Kind::Word
                && matches!(name.as_str(), "into" | "table" | "exists" | "view")
        });
        let is_disguised = token.kind == Kind::QuotedIdentifier && name.contains('\\');
        if (name == "file" || is_disguised) && is_call && !is_table {
            return Err(refused("the function file"));
        }
    }
    let creates_database = (is_word(0, "create") || is_word(0, "attach"))
        && (is_word(1, "database") || is_word(3, "database"));
    if creates_database
        && let Some(engine) = (3..tokens.len()).find(|&index| is_word(index, "engine"))
    {
        let name = tokens
            .get(engine + 1..)
            .unwrap_or_default()
            .iter()
            .find(|(token, _)| token.kind != Kind::Mark(b'='))
            .map_or("", |(_, name)| name.as_str());
        if !name.is_empty() && !DATABASE_ENGINES.contains(&name) {
            return Err(refused(format_args!("the database engine {name}")));
        }
    }
    Ok(())
}

/// # Errors
/// `ACCESS_DENIED` when the setting names a file or an address.
pub(crate) fn check_setting(name: &str) -> Result<(), Exception> {
    if FORBIDDEN_SETTINGS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
        return Err(refused(format_args!("the setting {name}")));
    }
    Ok(())
}

fn refused(what: impl std::fmt::Display) -> Exception {
    Exception::new(Error::AccessDenied, format_args!("Not allowed here: {what}"))
}

/// The name in lower case, without its quotes.
fn name(source: &[u8], token: &Token) -> String {
    let bytes = source.get(token.range.clone()).unwrap_or_default();
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    if token.kind == Kind::QuotedIdentifier {
        text.trim_matches(['`', '"', '“', '”']).to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_files_are_refused() {
        for statement in [
            "SELECT file('/etc/passwd')",
            "SELECT FILE /* */ ('/etc/passwd')",
            "SELECT `file`('/etc/passwd')",
            "SELECT `fi\\x6ce`('/etc/passwd')",
            "SELECT “file”\u{2003}('/etc/passwd')",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
            "CREATE DATABASE d ENGINE = Filesystem('/')",
            "CREATE DATABASE IF NOT EXISTS d ENGINE SQLite('/x')",
            "SELECT 1 SETTINGS format_schema = '/etc/passwd:x'",
        ] {
            let refused = check(statement.as_bytes()).map_err(|exception| exception.code);
            assert_eq!(refused, Err(497), "{statement}");
        }
    }

    #[test]
    fn the_same_words_elsewhere_are_not() {
        for statement in [
            "SELECT file, url FROM t WHERE file IN ('a') -- file('x')",
            "SELECT 'file(1)', `infile` FROM outfile",
            "CREATE TABLE file (file String) ENGINE = MergeTree ORDER BY file",
            "CREATE DATABASE d ENGINE = Atomic",
            "CREATE DATABASE engine",
        ] {
            assert_eq!(check(statement.as_bytes()), Ok(()), "{statement}");
        }
    }
}
