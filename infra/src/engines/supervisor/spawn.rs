//! Starting and signalling a process: the part that speaks to Linux.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};

use super::log_file;
use super::spec::{ChildSpec, Signal};

/// Starts a child from the calling thread, which must outlive it.
pub(super) fn spawn(spec: &ChildSpec) -> io::Result<Child> {
    let log = log_file::open(&spec.log)?;
    let mut command = command(spec);
    command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
    command.spawn()
}

/// Runs a child to its end and collects its output; its log is not written.
pub(crate) async fn output(spec: ChildSpec) -> io::Result<Output> {
    // The thread outlives the child, because it waits for it.
    tokio::task::spawn_blocking(move || command(&spec).stdin(Stdio::null()).output())
        .await
        .map_err(io::Error::other)?
}

fn command(spec: &ChildSpec) -> Command {
    let mut command = Command::new(&spec.program);
    if !spec.inherit_env {
        command.env_clear();
    }
    command
        .args(&spec.args)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .process_group(0);
    if let Some(shown_as) = &spec.shown_as {
        command.arg0(shown_as);
    }
    if let Some(directory) = &spec.current_dir {
        command.current_dir(directory);
    }
    if let Some(user) = spec.user {
        command.uid(user.uid).gid(user.gid);
    }
    let parent = std::process::id();
    let niceness = libc::c_int::from(spec.niceness);
    let death_signal = spec.death_signal.number();
    let files: Vec<RawFd> = spec.inherit_files.iter().map(|file| file.as_raw_fd()).collect();
    // SAFETY: the closure makes system calls alone; it neither allocates nor takes a lock. The open files
    // are kept by `spec`, which outlives the start.
    unsafe {
        command.pre_exec(move || {
            keep_open(&files)?;
            // Anybody may give way; where it fails nothing is lost but that.
            libc::nice(niceness);
            // After the change of user, which clears it.
            die_with(parent, death_signal)
        });
    }
    command
}

/// Has Linux send this process a signal when the thread that started it ends.
fn die_with(parent: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: plain system calls on this process.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, signal) != 0 {
            return Err(io::Error::last_os_error());
        }
        // A parent that died before the call above sends no signal any more.
        if u32::try_from(libc::getppid()) != Ok(parent) {
            libc::_exit(1);
        }
    }
    Ok(())
}

/// Lets the program inherit these files and no other beside its standard streams.
fn keep_open(files: &[RawFd]) -> io::Result<()> {
    // SAFETY: plain system calls on this process's own descriptors.
    unsafe {
        // Fails on Linux before 5.11; Rust opens every file close-on-exec anyway.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for file in files {
            if libc::fcntl(*file, libc::F_SETFD, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Signals a child that is not yet reaped.
pub(super) fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = libc::pid_t::try_from(pid) {
        // SAFETY: a plain system call; the caller holds the lock under which the child is reaped.
        unsafe { libc::kill(pid, signal.number()) };
    }
}

/// Waits until a child has ended and leaves it a zombie, so that its number stays its own.
pub(super) fn wait_without_reaping(pid: u32) {
    loop {
        // SAFETY: `info` is a live value that the call fills in.
        let code = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, pid, &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        if code == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
