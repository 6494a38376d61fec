//! What a supervised child is.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::User;

/// A signal that ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in order.
    Terminate,
    /// SIGINT: PostgreSQL's fast shutdown.
    Interrupt,
    /// SIGQUIT: PostgreSQL's immediate shutdown.
    Quit,
    /// SIGKILL: cannot be refused.
    Kill,
}

impl Signal {
    pub(super) const fn number(self) -> libc::c_int {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Kill => libc::SIGKILL,
        }
    }
}

/// What happens when a child ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// It is started again, after a delay that doubles from 200 ms to 10 s.
    Always,
    /// It stays ended.
    Never,
}

/// A child process to supervise. It runs in a process group of its own, so that Ctrl-C in a terminal
/// reaches only its parent. `Debug` leaves its environment out, which holds secrets.
#[derive(Clone)]
pub struct ChildSpec {
    /// Its name in logs.
    pub name: String,
    /// The program, found in `PATH` when it has no slash.
    pub program: OsString,
    /// What lists of processes show as its program.
    pub shown_as: Option<OsString>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set on top of the environment.
    pub env: Vec<(OsString, OsString)>,
    /// Whether it gets this process's environment; otherwise `env` is all that it gets.
    pub inherit_env: bool,
    /// Its working directory; this process's own when it is not set.
    pub current_dir: Option<PathBuf>,
    /// The user that it runs as; this process's own when it is not set.
    pub user: Option<User>,
    /// Open files that it keeps, under the same numbers; all others are closed.
    pub inherit_files: Vec<Arc<OwnedFd>>,
    /// The file that its output is appended to; above 10 MB it is put aside when the child starts.
    pub log: PathBuf,
    /// How much it gives way to others for a processor: 0 as this process, up to 19.
    pub niceness: u8,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// What the system sends it when this process dies; it must end the child without any doubt.
    pub death_signal: Signal,
    /// What asks it to end in order.
    pub stop_signal: Signal,
    /// How long it may take to end in order.
    pub stop_timeout: Duration,
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ChildSpec");
        shown.field("name", &self.name).field("program", &self.program).field("args", &self.args);
        shown.finish_non_exhaustive()
    }
}

impl ChildSpec {
    /// A child with this process's environment and user that is restarted, stopped by SIGTERM within
    /// 10 s, and killed when this process dies.
    pub fn new(
        name: impl Into<String>,
        program: impl Into<OsString>,
        log: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            shown_as: None,
            args: Vec::new(),
            env: Vec::new(),
            inherit_env: true,
            current_dir: None,
            user: None,
            inherit_files: Vec::new(),
            log: log.into(),
            niceness: 0,
            restart: Restart::Always,
            death_signal: Signal::Kill,
            stop_signal: Signal::Terminate,
            stop_timeout: Duration::from_secs(10),
        }
    }

    /// A child that runs this very program, also when its file was replaced since.
    pub fn of_this_program(name: impl Into<String>, log: impl Into<PathBuf>) -> Self {
        let shown_as = std::env::args_os().next();
        Self { shown_as, ..Self::new(name, "/proc/self/exe", log) }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}
