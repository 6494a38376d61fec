//! The kinds of statements that are served. What is not listed here is refused.

use super::refused;
use super::words::Words;
use crate::exception::{Exception, Kind as Error};

/// Engines of tables that live in the data directory or in memory.
const TABLE_ENGINES: [&str; 13] = [
    "aggregatingmergetree",
    "coalescingmergetree",
    "collapsingmergetree",
    "log",
    "memory",
    "mergetree",
    "null",
    "replacingmergetree",
    "stripelog",
    "summingmergetree",
    "tinylog",
    "versionedcollapsingmergetree",
    "view",
];
const DATABASE_ENGINES: [&str; 3] = ["atomic", "memory", "ordinary"];
/// What statements of the engine begin with.
const STATEMENTS: [&str; 41] = [
    "alter", "attach", "backup", "begin", "check", "commit", "create", "delete", "desc",
    "describe", "detach", "drop", "exchange", "execute", "exists", "explain", "from", "grant",
    "insert", "kill", "move", "optimize", "parallel", "rename", "replace", "restore", "revoke",
    "rollback", "select", "set", "show", "snapshot", "start", "system", "truncate", "undrop",
    "unlock", "update", "use", "watch", "with",
];
/// What an ALTER TABLE begins with.
const ALTERATIONS: [&str; 9] =
    ["add", "clear", "comment", "delete", "drop", "materialize", "modify", "rename", "update"];
/// What is in no part of it: these move parts between the tables, disks and servers.
const NO_ALTERATIONS: [&str; 9] =
    ["attach", "detach", "disk", "export", "fetch", "freeze", "move", "unfreeze", "volume"];

/// # Errors
/// `ACCESS_DENIED`, naming the kind.
pub(super) fn check(words: &Words) -> Result<(), Exception> {
    let first = (0..words.len()).find(|index| !words.is_mark(*index, b'(')).unwrap_or_default();
    let Some(kind) = words.name(first).filter(|_| !words.is_quoted(first)) else {
        // Of nothing, the engine says what is wrong with it.
        return if words.len() == 0 { Ok(()) } else { Err(no_statement()) };
    };
    let is_served = match kind {
        "select" | "with" | "from" => true,
        // Behind a bracket nothing else can begin.
        _ if first > 0 => false,
        "check" | "delete" | "desc" | "describe" | "exists" | "explain" | "optimize" | "set"
        | "show" | "truncate" | "update" | "use" => true,
        "insert" => inserts(words),
        "create" => return creates(words),
        "drop" => words.is_any(words.skip(1, &["temporary"]), &["database", "table", "view"]),
        "rename" => words.is(1, "table"),
        "exchange" => words.is(1, "tables"),
        "kill" => words.is_any(1, &["mutation", "query"]),
        "alter" => return alters(words),
        _ => false,
    };
    if is_served {
        Ok(())
    } else if STATEMENTS.contains(&kind) || first > 0 {
        Err(refused(format_args!("a statement {}", kind.to_ascii_uppercase())))
    } else {
        Err(no_statement())
    }
}

/// What begins no statement of this release of the engine. It is refused here and not by the engine: what the next
/// release knows is not served before somebody has looked at it.
fn no_statement() -> Exception {
    Exception::new(Error::SyntaxError, "Syntax error: no statement begins like this")
}

/// Into a table, or into the function that keeps nothing.
fn inserts(words: &Words) -> bool {
    let target = words.skip(words.skip(1, &["into"]), &["table"]);
    !words.is(target, "function")
        || words.is_mark(target + 1, b'(')
        || words.name(target + 1) == Some("null")
}

fn creates(words: &Words) -> Result<(), Exception> {
    let object = words.skip(words.skip(1, &["or", "replace"]), &["temporary"]);
    let is_view = words.is(words.skip(object, &["materialized"]), "view");
    let (known, what) = if words.is(object, "database") {
        (DATABASE_ENGINES.as_slice(), "the database engine")
    } else if words.is(object, "table") || is_view {
        (TABLE_ENGINES.as_slice(), "the table engine")
    } else {
        return Err(refused("a statement CREATE of this kind"));
    };
    let mut depth = 0_usize;
    for index in object + 1..words.len() {
        if words.is_mark(index, b'(') {
            depth += 1;
        } else if words.is_mark(index, b')') {
            depth = depth.saturating_sub(1);
        }
        // `CREATE DATABASE engine` names one so.
        let is_clause = depth == 0 && words.is(index, "engine") && index > object + 1;
        if !is_clause {
            continue;
        }
        let name = if words.is_mark(index + 1, b'=') { index + 2 } else { index + 1 };
        let engine = words.name(name).unwrap_or_default();
        if !known.contains(&engine) {
            return Err(refused(format_args!("{what} {engine}")));
        }
    }
    Ok(())
}

/// Changes of a table that leave its data where it is.
fn alters(words: &Words) -> Result<(), Exception> {
    if !words.is(1, "table") {
        return Err(refused("a statement ALTER of this kind"));
    }
    let start = words.skip(2, &["if", "exists"]);
    let mut action = start + 1;
    while words.is_mark(action, b'.') {
        action += 2;
    }
    while words.is_mark(action, b'(') {
        action += 1;
    }
    if !words.is_any(action, &ALTERATIONS) {
        return Err(refused("ALTER TABLE of this kind"));
    }
    match words.names().find(|(index, _)| *index > action && words.is_any(*index, &NO_ALTERATIONS))
    {
        Some((_, word)) => {
            Err(refused(format_args!("ALTER TABLE with {}", word.to_ascii_uppercase())))
        }
        None => Ok(()),
    }
}
