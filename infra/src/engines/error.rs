//! Why the engines cannot be used.

use std::io;
use std::path::PathBuf;

use super::Engine;

/// Why the engines cannot be used. Each message is one line that says what and where; the caller prints
/// it and ends.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The data directory cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    DataDir {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process runs on the same data directory.
    #[error("the data directory {path} is in use by process {holder}", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, or `?`.
        holder: String,
    },
    /// The data directory was written by a newer Pulsetrail.
    #[error("{path} says that a newer Pulsetrail wrote this data directory (format {found}, this one knows {known}): use that version", path = path.display())]
    NewerVersion {
        /// The version file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this program writes.
        known: u32,
    },
    /// A program, a library or a user that a private engine needs is missing.
    #[error("{engine} cannot be started, {missing}: run `make engines`, or set {setting}", setting = engine.setting())]
    NotInstalled {
        /// Which engine.
        engine: Engine,
        /// What is missing and where it was looked for.
        missing: String,
    },
    /// A leftover of an earlier run does not end.
    #[error("{engine} cannot be started, process {pid} still uses {path}: end it first", path = path.display())]
    InUse {
        /// Which engine.
        engine: Engine,
        /// The process.
        pid: u32,
        /// The folder it works in.
        path: PathBuf,
    },
    /// A private engine could not be prepared or started.
    #[error("{engine} cannot be started: {detail}")]
    Start {
        /// Which engine.
        engine: Engine,
        /// What went wrong, in one line.
        detail: String,
    },
    /// A private engine ended, repeatedly, before it answered.
    #[error("{engine} ended before it answered, see {log}: {last_line}", log = log.display())]
    Ended {
        /// Which engine.
        engine: Engine,
        /// Its log.
        log: PathBuf,
        /// The newest line of the log.
        last_line: String,
    },
    /// A private engine runs and does not answer.
    #[error("{engine} did not answer within {seconds} s, see {log}: {detail}", log = log.display())]
    NotReady {
        /// Which engine.
        engine: Engine,
        /// How long it was given.
        seconds: u64,
        /// Its log.
        log: PathBuf,
        /// What the last attempt said.
        detail: String,
    },
    /// An external engine does not answer.
    #[error("{setting}: {engine} at {address} does not answer: {detail}", setting = engine.setting())]
    Unreachable {
        /// Which engine.
        engine: Engine,
        /// Its address, without a password.
        address: String,
        /// What the last attempt said.
        detail: String,
    },
    /// The start was broken off.
    #[error("the start of the engines was broken off")]
    Interrupted,
}
