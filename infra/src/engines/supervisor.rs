//! Child processes that die with their parent, come back when they die first, and end when asked.
//!
//! Each child has an OS thread of its own that starts it, waits for it and starts it again. Linux sends
//! the parent-death signal when the *thread* that started the child ends, so this thread lives exactly as
//! long as the child is wanted, and supervision goes on when an asynchronous runtime ends.

mod backoff;
mod log_file;
mod spawn;
mod spec;

use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use tokio::sync::{oneshot, watch};

use backoff::Backoff;
pub use log_file::last_line;
pub(super) use spawn::output;
pub use spec::{ChildSpec, Restart, Signal};

pub use super::process::User;

/// How long a child may take after its death signal before it is killed: PostgreSQL gives its backends 5 s.
const DEATH_TIMEOUT: Duration = Duration::from_secs(6);

/// What a child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not started yet, or waiting to be started again.
    Waiting,
    /// Alive.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// Ended for good.
    Ended,
}

/// A child's phase and its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is doing now.
    pub phase: Phase,
    /// How often it has ended by itself.
    pub exits: u32,
    /// How it ended the last time.
    pub last_exit: Option<ExitStatus>,
}

/// A supervised child. Dropped, it is sent its death signal and not started again.
#[derive(Debug)]
pub struct Child {
    shared: Arc<Shared>,
    status: watch::Receiver<Status>,
}

#[derive(Debug)]
struct Shared {
    spec: ChildSpec,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The living, not yet reaped process: a signal sent under the lock can hit no other.
    pid: Option<u32>,
    stopping: bool,
}

/// Starts a child and keeps it running until it is stopped or dropped.
///
/// # Errors
/// The program cannot be started, or its log cannot be written.
pub async fn supervise(spec: ChildSpec) -> io::Result<Child> {
    let (status_sender, status) =
        watch::channel(Status { phase: Phase::Waiting, exits: 0, last_exit: None });
    let (started_sender, started) = oneshot::channel();
    let shared = Arc::new(Shared { spec, state: Mutex::default(), changed: Condvar::new() });
    let child = Child { shared: Arc::clone(&shared), status };
    thread::Builder::new()
        .name(format!("child-{}", shared.spec.name))
        .spawn(move || run(&shared, &status_sender, started_sender))?;
    started.await.map_err(io::Error::other)??;
    Ok(child)
}

impl Child {
    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.shared.spec.name
    }

    /// What it is doing; the receiver wakes at every change.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.shared.lock().pid
    }

    /// The memory that it holds, in bytes, without that of its own children.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let kibibytes: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?
            .split_whitespace()
            .next()?
            .parse()
            .ok()?;
        Some(kibibytes * 1024)
    }

    /// Ends it: the stop signal first, the death signal when its time is over, then SIGKILL.
    pub async fn stop(&self) {
        self.shared.begin_stop(self.shared.spec.stop_signal);
        if self.ended_within(self.shared.spec.stop_timeout).await {
            return;
        }
        tracing::warn!(child.name = self.name(), "a child did not stop in time and is ended");
        self.shared.begin_stop(self.shared.spec.death_signal);
        if !self.ended_within(DEATH_TIMEOUT).await {
            self.shared.begin_stop(Signal::Kill);
            self.ended().await;
        }
    }

    /// Waits until it has ended for good.
    pub async fn ended(&self) {
        // An error means that its thread is gone, and the child with it.
        self.status.clone().wait_for(|status| status.phase == Phase::Ended).await.ok();
    }

    async fn ended_within(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.ended()).await.is_ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.shared.begin_stop(self.shared.spec.death_signal);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_stop(&self, signal: Signal) {
        let mut state = self.lock();
        state.stopping = true;
        if let Some(pid) = state.pid {
            spawn::send(pid, signal);
        }
        self.changed.notify_all();
    }

    /// Waits before the next start; false when the child is to stop.
    fn wait(&self, delay: Duration) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, delay, |state| !state.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }
}

fn run(shared: &Shared, status: &watch::Sender<Status>, started: oneshot::Sender<io::Result<()>>) {
    let mut started = Some(started);
    let mut backoff = Backoff::default();
    loop {
        let since = Instant::now();
        let outcome = run_once(shared, status, &mut started);
        if let (Err(error), Some(started)) = (&outcome, started.take()) {
            started.send(Err(io::Error::new(error.kind(), error.to_string()))).ok();
            break;
        }
        if shared.lock().stopping || shared.spec.restart == Restart::Never {
            break;
        }
        let delay = backoff.next(since.elapsed());
        let ending = outcome.map_or_else(|error| error.to_string(), |exit| exit.to_string());
        tracing::warn!(
            child.name = shared.spec.name,
            child.ending = ending,
            child.log = %shared.spec.log.display(),
            restart.delay_ms = delay.as_millis(),
            "a child ended by itself and is started again"
        );
        if !shared.wait(delay) {
            break;
        }
    }
    status.send_modify(|status| status.phase = Phase::Ended);
}

/// Starts the child and waits until it ends.
fn run_once(
    shared: &Shared,
    status: &watch::Sender<Status>,
    started: &mut Option<oneshot::Sender<io::Result<()>>>,
) -> io::Result<ExitStatus> {
    let mut state = shared.lock();
    if state.stopping {
        return Err(io::Error::from(io::ErrorKind::Interrupted));
    }
    let mut process = spawn::spawn(&shared.spec)?;
    let pid = process.id();
    state.pid = Some(pid);
    drop(state);
    status.send_modify(|status| status.phase = Phase::Running { pid });
    if let Some(started) = started.take() {
        started.send(Ok(())).ok();
    }
    spawn::wait_without_reaping(pid);
    let mut state = shared.lock();
    state.pid = None;
    let exit = process.wait()?;
    drop(state);
    status.send_modify(|status| {
        *status = Status { phase: Phase::Waiting, exits: status.exits + 1, last_exit: Some(exit) };
    });
    Ok(exit)
}
