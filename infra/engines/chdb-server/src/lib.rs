//! ClickHouse's HTTP interface over the embedded ClickHouse engine, `libchdb.so`.
//!
//! One process serves one data directory on loopback. Every request gets an engine connection of its
//! own; requests of one session share one. The rows of an INSERT are spooled to a file of the server's
//! own and read from there, because the engine would end binary rows at their first `;` byte. An insert
//! is answered when its rows are written: killing the process loses none that was acknowledged.
//!
//! # What it serves
//! `GET` and `POST /`, `/ping` and `/replicas_status`. The query comes in the URL, the body or a form;
//! `param_*` values, settings, `database`, `default_format`, `query_id`, `session_*`, `compress`,
//! `decompress` and `wait_end_of_query` are understood. Bodies may be encoded as gzip, deflate, lz4 and
//! zstd, answers too. SELECTs in formats of plain rows (`RowBinary*`, `Native`, `TSV*`, `CSV*`,
//! `JSON*EachRow*`) are streamed; other formats are made in one piece in the engine's memory. An
//! exception after the answer began is told as ClickHouse ≥ 25.11 does, with `X-ClickHouse-Exception-Tag`,
//! and the connection is broken off.
//!
//! # What it does not
//! Users beside the one, roles, `system.query_log`, external tables in forms, brotli, Native output of a
//! nonzero `client_protocol_version`. `X-ClickHouse-Query-Id` is answered, but the engine does not know
//! it. `X-ClickHouse-Summary` of a streamed answer holds what was known when the answer began.
//!
//! # What a client cannot reach
//! The server listens on loopback only and wants a password. Beyond that the engine's grants refuse
//! `file()`, `url()`, `s3()`, `remote()` and every other source, table engines and dictionaries that read
//! them, and backups. The server lets only statements of known kinds through, see `confinement`: no `ATTACH`, no
//! disk that a statement brings along, no `INTO OUTFILE`, no `FROM INFILE`, not the scalar function `file`, no
//! setting that names a file, no other engines of tables and databases than plain ones. The rows of an INSERT in the
//! format `Values` are values, not expressions. Below all that stands Landlock, see `sandbox`: whoever finds a gap
//! in the engine has the data directory and nothing else.

mod authentication;
mod body;
mod confinement;
mod encoding;
mod engine;
mod engine_config;
mod exception;
mod execute;
mod ffi;
mod format;
mod handler;
mod lexer;
mod native_frame;
mod output;
mod parameters;
mod response;
mod sandbox;
mod server;
mod session;
mod spool;
mod sql;
mod statement;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use engine::EngineError;

/// How a server is started.
#[derive(Clone)]
pub struct Config {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The data directory, made when missing. One process can use it at a time.
    pub path: PathBuf,
    /// The engine, `libchdb.so`.
    pub library: PathBuf,
    /// The only user's name; ClickHouse's clients send `default` unless told otherwise.
    pub user: String,
    /// Their password; empty lets everybody on this machine in.
    pub password: String,
}

impl fmt::Debug for Config {
    /// Leaves the password out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("listen", &self.listen)
            .field("path", &self.path)
            .field("library", &self.library)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not loopback: the engine's access control is not made for a network.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on: another process has it.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The process cannot be confined to its data directory.
    #[error("cannot be confined to the data directory: {0}")]
    Confine(std::io::Error),
    /// Threads or signal handlers cannot be set up.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// Serves until SIGTERM or SIGINT, then lets running requests end for some seconds, closes the engine
/// and ends the process with status 0, without running exit handlers: the engine's can hang.
///
/// When it is ready it prints one line to standard output, `listening on http://ADDRESS:PORT`. It blocks,
/// and is to be called once in a process, outside any async runtime.
///
/// # Errors
/// The server did not start. The caller should print the error and end the process.
pub fn run(mut config: Config) -> Result<Infallible, Error> {
    if !config.listen.ip().is_loopback() {
        return Err(Error::NotLoopback(config.listen));
    }
    prepare(&mut config)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?
        .block_on(server::serve(config))
}

/// Makes the data directory the working directory, by which a supervisor finds the process, and gives up everything
/// else. No thread runs yet: what is started from here on is confined, too.
fn prepare(config: &mut Config) -> Result<(), Error> {
    let path = config.path.clone();
    let in_directory =
        |source| Error::Engine(EngineError::Directory { path: path.clone(), source });
    // The working directory changes below.
    config.path = std::path::absolute(&config.path).map_err(in_directory)?;
    config.library = std::path::absolute(&config.library).map_err(in_directory)?;
    std::fs::create_dir_all(&config.path).map_err(in_directory)?;
    let confinement = sandbox::confine(&config.path, &config.library).map_err(Error::Confine)?;
    if confinement != sandbox::Confinement::Full {
        eprintln!(
            "this kernel confines the engine to its data directory as far as: {confinement:?}"
        );
    }
    std::env::set_current_dir(&config.path).map_err(in_directory)
}
