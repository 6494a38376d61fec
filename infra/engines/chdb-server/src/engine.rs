//! The embedded engine: where it keeps its data, and connections to it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::engine_config;
use crate::exception::Exception;
use crate::ffi::{Connection, Library};
use crate::spool::Spool;

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library is missing or is not `libchdb.so`: install it again.
    #[error("cannot load {path}: {source}")]
    Load {
        /// The file that was named.
        path: PathBuf,
        /// What the loader said.
        source: libloading::Error,
    },
    /// The data directory cannot be made or written.
    #[error("cannot prepare the data directory {path}: {source}")]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The engine would read `*`, `?`, `{` and `}` in the path as a pattern: choose another directory.
    #[error("the data directory {0} has one of the characters * ? {{ }} in its path")]
    PathIsPattern(PathBuf),
    /// The engine refused to open the data directory; its reason is on standard error. Another process
    /// may be using it.
    #[error("the engine cannot open the data directory {0}")]
    Open(PathBuf),
    /// The engine opened, and then failed its first query.
    #[error("the engine does not answer: {0}")]
    Query(String),
}

/// The running engine. There can be one in a process.
pub(crate) struct Engine {
    library: Library,
    path_argument: std::ffi::OsString,
    config_argument: std::ffi::OsString,
    /// The engine shuts down when its last connection closes; this one stays open.
    anchor: Mutex<Option<Connection>>,
    pub(crate) spool: Spool,
    pub(crate) version: String,
    pub(crate) time_zone: String,
    pub(crate) display_name: String,
}

impl Engine {
    /// Loads the library and opens the data directory, which is made if it is missing.
    pub(crate) fn start(library: &Path, path: &Path) -> Result<Self, EngineError> {
        let in_directory = |source| EngineError::Directory { path: path.to_owned(), source };
        // Without `metadata`, `DROP … SYNC` hangs in a directory that the engine made by itself.
        std::fs::create_dir_all(path.join("metadata")).map_err(in_directory)?;
        let path = std::fs::canonicalize(path).map_err(in_directory)?;
        if path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?{}".contains(byte)) {
            return Err(EngineError::PathIsPattern(path));
        }
        let own = path.join("chdb-server");
        let config = engine_config::write(&own).map_err(in_directory)?;
        let spool = Spool::open(own.join("spool")).map_err(in_directory)?;
        let loaded = Library::load(library)
            .map_err(|source| EngineError::Load { path: library.to_owned(), source })?;
        let mut engine = Self {
            library: loaded,
            path_argument: argument("--path=", &path),
            config_argument: argument("--config-file=", &config),
            anchor: Mutex::new(None),
            spool,
            version: String::new(),
            time_zone: String::new(),
            display_name: String::new(),
        };
        let mut anchor = engine.open().ok_or(EngineError::Open(path))?;
        let facts = anchor
            .query(b"SELECT version(), timezone(), displayName()", "TSVRaw", &[])
            .map_err(|exception| EngineError::Query(exception.text))?;
        let facts = String::from_utf8_lossy(facts.bytes()).into_owned();
        let mut facts = facts.trim_end().split('\t').map(str::to_owned);
        engine.version = facts.next().unwrap_or_default();
        engine.time_zone = facts.next().unwrap_or_default();
        engine.display_name = facts.next().unwrap_or_default();
        engine.anchor = Mutex::new(Some(anchor));
        Ok(engine)
    }

    /// A connection of its own, because settings, the database and temporary tables stay with it.
    pub(crate) fn connect(&self) -> Result<Connection, Exception> {
        self.open().ok_or_else(|| Exception::internal("the engine gives no connection"))
    }

    /// Closes the engine, when every other connection is closed.
    pub(crate) fn close(&self) {
        drop(self.anchor.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn open(&self) -> Option<Connection> {
        self.library.connect(&[
            OsStr::new("clickhouse"),
            &self.path_argument,
            &self.config_argument,
        ])
    }
}

fn argument(name: &str, value: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(name);
    argument.push(value);
    argument
}
