//! Runs one request's statement on the engine. All of this blocks.

use std::io::Read;

use crate::body::{self, Prepared};
use crate::engine::Engine;
use crate::exception::{Exception, Kind};
use crate::ffi::{Connection, Counters, Parameter};
use crate::format::{self, Joining};
use crate::output::{Output, Stopped};
use crate::parameters::Parameters;
use crate::session::Sessions;
use crate::sql;
use crate::statement::{self, Query, Statement};

/// How much of a result that was made in one piece is handed on at a time.
const SLICE_SIZE: usize = 128 << 10;

/// A request, ready to run.
pub(crate) struct Job {
    pub(crate) parameters: Parameters,
    /// The format of output, where the statement names none.
    pub(crate) format: String,
    pub(crate) content_encoding: String,
    /// A GET, which may not change anything.
    pub(crate) read_only: bool,
}

/// Why a job ended before its output was complete.
enum Failure {
    Exception(Exception),
    Stopped,
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Runs the job and answers through `output`. `permit` is asked for when the body is read, so that a
/// slow sender does not keep others from running.
pub(crate) fn run<P>(
    engine: &Engine,
    sessions: &Sessions,
    job: &Job,
    body: impl Read,
    permit: impl FnOnce() -> P,
    mut output: Output,
    exception_tag: &str,
) {
    let prepared = body::decoded(body, &job.content_encoding, job.parameters.decompress)
        .and_then(|body| body::prepare(&job.parameters.query, body, &engine.spool));
    let result = prepared.map_err(Failure::from).and_then(|prepared| {
        let _permit = permit();
        connected(engine, sessions, job, &prepared, &mut output)
    });
    match result {
        Ok(()) => output.finish(),
        Err(Failure::Exception(exception)) => {
            output.fail(exception, exception_tag, &engine.version)
        }
        Err(Failure::Stopped) => {}
    }
}

fn connected(
    engine: &Engine,
    sessions: &Sessions,
    job: &Job,
    prepared: &Prepared,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(session) = &job.parameters.session else {
        let mut connection = engine.connect()?;
        apply(&mut connection, job, true)?;
        return executed(&mut connection, job, prepared, output);
    };
    if job.read_only && !reads_only(&prepared.statement) {
        return Err(Exception::new(Kind::ReadOnly, "Cannot execute query in readonly mode").into());
    }
    let mut connection = sessions.take(session, || engine.connect())?;
    let result = remembered(&mut connection, job).map_err(Failure::from).and_then(|restore| {
        let result = apply(&mut connection, job, false)
            .map_err(Failure::from)
            .and_then(|()| executed(&mut connection, job, prepared, output));
        for statement in restore {
            if let Err(exception) = connection.query(&statement, "Null", &[]) {
                tracing::warn!(%exception, "a session keeps a setting of one request");
            }
        }
        result
    });
    sessions.give_back(session, connection);
    result
}

/// Settings and the database, which hold for this request alone.
fn apply(connection: &mut Connection, job: &Job, own_connection: bool) -> Result<(), Exception> {
    let parameters = &job.parameters;
    let mut assignments: Vec<Vec<u8>> = parameters
        .settings
        .iter()
        .map(|(name, value)| assignment(name, &sql::text_literal(value)))
        .collect();
    // Level 2 lets a client choose settings for its query; in a session it could not be taken back.
    let chooses =
        |(name, value): &(String, Vec<u8>)| name == "readonly" && value.as_slice() != b"0";
    if job.read_only && own_connection && !parameters.settings.iter().any(chooses) {
        assignments.push(assignment("readonly", b"2"));
    }
    if let Some(database) = &parameters.database {
        let mut statement = b"USE ".to_vec();
        statement.extend(sql::identifier(database));
        connection.query(&statement, "Null", &[])?;
    }
    if !assignments.is_empty() {
        let mut statement = b"SET ".to_vec();
        statement.extend(assignments.join(&b", "[..]));
        connection.query(&statement, "Null", &[])?;
    }
    Ok(())
}

/// The statements that undo [`apply`] in a session.
fn remembered(connection: &mut Connection, job: &Job) -> Result<Vec<Vec<u8>>, Exception> {
    let mut statements = Vec::new();
    if job.parameters.database.is_some() {
        let current = connection.query(b"SELECT currentDatabase()", "RawBLOB", &[])?;
        let mut statement = b"USE ".to_vec();
        statement.extend(sql::identifier(current.bytes()));
        statements.push(statement);
    }
    for (name, _) in &job.parameters.settings {
        let mut query = b"SELECT value FROM system.settings WHERE changed AND name = ".to_vec();
        query.extend(sql::text_literal(name.as_bytes()));
        let current = connection.query(&query, "RawBLOB", &[])?;
        let value = match current.counters().result_rows {
            0 => b"DEFAULT".to_vec(),
            _ => sql::text_literal(current.bytes()),
        };
        let mut statement = b"SET ".to_vec();
        statement.extend(assignment(name, &value));
        statements.push(statement);
    }
    Ok(statements)
}

fn assignment(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b" = ", value].concat()
}

fn reads_only(statement: &Statement) -> bool {
    match statement {
        Statement::Select(query) | Statement::Other(query) => query.reads_only,
        Statement::Insert(_) => false,
    }
}

fn executed(
    connection: &mut Connection,
    job: &Job,
    prepared: &Prepared,
    output: &mut Output,
) -> Result<(), Failure> {
    let values = &job.parameters.values;
    match (&prepared.statement, &prepared.rows) {
        (Statement::Insert(insert), Some(rows)) => {
            output.set_format(&job.format);
            let text = insert.reading_file(rows.path_bytes());
            let mut counters = connection
                .query(&text, &job.format, values)
                .map_err(|exception| exception.without(rows.path_bytes()))?
                .counters();
            // The engine counts the rows of the body as a result.
            counters.read_rows = counters.read_rows.max(counters.result_rows);
            counters.read_bytes = counters.read_bytes.max(counters.result_bytes);
            output.count(counters);
            Ok(())
        }
        (Statement::Insert(_), None) => Err(Exception::internal("an INSERT has no rows").into()),
        (Statement::Select(query), _) => select(connection, job, query, output),
        (Statement::Other(query), _) => {
            let format = query.format.as_deref().unwrap_or(&job.format);
            whole(connection, &query.text, format, values, output)
        }
    }
}

fn select(
    connection: &mut Connection,
    job: &Job,
    query: &Query,
    output: &mut Output,
) -> Result<(), Failure> {
    let format = query.format.as_deref().unwrap_or(&job.format);
    let values = &job.parameters.values;
    let joining = Joining::of(format);
    let has_framing = query.has_framing
        || job.parameters.settings.iter().any(|(name, _)| statement::changes_framing(name));
    if joining == Joining::Whole || has_framing {
        return whole(connection, &query.text, format, values, output);
    }
    output.set_format(format);
    let mut stream = connection.stream(&query.text, format, values)?;
    let mut is_first = true;
    while let Some(block) = stream.fetch()? {
        output.count(block.counters());
        let bytes = if is_first { block.bytes() } else { joining.without_header(block.bytes())? };
        is_first = false;
        output.write(bytes)?;
    }
    Ok(())
}

fn whole(
    connection: &mut Connection,
    text: &[u8],
    format: &str,
    values: &[Parameter],
    output: &mut Output,
) -> Result<(), Failure> {
    output.set_format(format);
    let result = connection.query(text, format, values)?;
    output.count(Counters { ..result.counters() });
    for slice in result.bytes().chunks(SLICE_SIZE) {
        output.write(slice)?;
    }
    Ok(())
}

/// The format of output when the request names none.
pub(crate) fn default_format(
    parameters: &Parameters,
    header: Option<&[u8]>,
) -> Result<String, Exception> {
    match (&parameters.default_format, header) {
        (Some(format), _) if !format.is_empty() => Ok(format.clone()),
        (_, Some(name)) if !name.is_empty() => crate::parameters::format_name(name),
        _ => Ok(format::DEFAULT.to_owned()),
    }
}
