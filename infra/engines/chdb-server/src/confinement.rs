//! Refuses statements that reach files and sockets of this machine, or that are none of those that are served.
//!
//! The grants (see `engine_config`) refuse table functions, table engines and dictionaries that read
//! files or open sockets. They know nothing of `ATTACH … FROM`, of disks that a statement brings along, of
//! `FROM INFILE` and `INTO OUTFILE`, of the scalar function `file`, of settings that name a file, and of database
//! engines. So only statements of known kinds are let through, and of these only what is on a list.

mod functions;
mod kinds;
mod words;

use crate::exception::{Exception, Kind as Error};
use functions::reaches_out;
use words::Words;

/// Settings that make the engine open a file or a socket of the client's choice, or evaluate expressions among
/// the rows of an INSERT, which are not looked into.
const FORBIDDEN_SETTINGS: [&str; 10] = [
    "disk",
    "format_avro_schema_registry_url",
    "format_schema",
    "format_template_resultset",
    "format_template_row",
    "input_format_record_errors_file_path",
    "input_format_values_deduce_templates_of_expressions",
    "input_format_values_interpret_expressions",
    "output_format_schema",
    "storage_policy",
];

/// Checks a statement without the rows that may follow it.
///
/// # Errors
/// `ACCESS_DENIED`, naming what is refused.
pub(crate) fn check(statement: &[u8]) -> Result<(), Exception> {
    let words = Words::of(statement);
    kinds::check(&words)?;
    check_words(&words)
}

/// Checks a piece of a statement that was checked, such as its settings.
///
/// # Errors
/// `ACCESS_DENIED`, naming what is refused.
pub(crate) fn check_piece(piece: &[u8]) -> Result<(), Exception> {
    check_words(&Words::of(piece))
}

fn check_words(words: &Words) -> Result<(), Exception> {
    let named = words.name_of_table();
    let mut assigns = false;
    for (index, name) in words.names() {
        assigns |=
            words.is(index, "settings") || words.is(index, "setting") || words.is(index, "set");
        // `disk` and its like may be names of columns elsewhere.
        if assigns && (words.is_mark(index + 1, b'=') || words.is_mark(index + 1, b'(')) {
            check_setting(name)?;
        }
        for (before, word) in
            [("into", "outfile"), ("from", "infile"), ("parallel", "with"), ("on", "cluster")]
        {
            if words.is(index, word) && index > 0 && words.is(index - 1, before) {
                return Err(refused(format!("{before} {word}").to_ascii_uppercase()));
            }
        }
        if words.is_mark(index + 1, b'(') && Some(index) != named {
            // With an escape a name can be written in many ways.
            if reaches_out(name) || words.is_quoted(index) && name.contains('\\') {
                return Err(refused(format_args!("the function {name}")));
            }
        }
    }
    Ok(())
}

/// # Errors
/// `ACCESS_DENIED` when the setting is none for clients.
pub(crate) fn check_setting(name: &str) -> Result<(), Exception> {
    let is_forbidden =
        FORBIDDEN_SETTINGS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden));
    // With an escape a name can be written in many ways.
    if is_forbidden || name.contains('\\') {
        return Err(refused(format_args!("the setting {name}")));
    }
    Ok(())
}

fn refused(what: impl std::fmt::Display) -> Exception {
    Exception::new(Error::AccessDenied, format_args!("Not allowed here: {what}"))
}

#[cfg(test)]
#[path = "confinement/tests.rs"]
mod tests;
