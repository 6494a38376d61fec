//! Running as another user, who reaches the data directory wherever it lies.
//!
//! The directory may lie below a folder that this user cannot enter. An open file of it would not do: the engine
//! resolves the path to the real one. So the directory is mounted a second time, in a place that everybody can
//! enter, for this process alone.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::str::FromStr;

/// Where the data directory is for this process. Every Linux has this folder (FHS 3.0, section 3.12), and nothing
/// of the engine's is below it.
const PLACE: &CStr = c"/mnt";

/// A user and a group by their numbers, as `uid:gid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user.
    pub uid: u32,
    /// The user's only group.
    pub gid: u32,
}

/// The text is not `uid:gid`, or names root.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be uid:gid, of a user other than root")]
pub struct InvalidRunAs;

impl FromStr for RunAs {
    type Err = InvalidRunAs;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (uid, gid) = text.split_once(':').ok_or(InvalidRunAs)?;
        let number = |text: &str| text.parse().ok().filter(|number| *number != 0);
        number(uid).zip(number(gid)).map(|(uid, gid)| Self { uid, gid }).ok_or(InvalidRunAs)
    }
}

/// Becomes the user, for good, and returns where the data directory is from now on. Called by root, before the
/// first thread is started. What was decided about the death of the parent still holds.
///
/// # Errors
/// A step was refused. Until the last one nothing is changed that matters: the caller may go on as root.
pub(crate) fn become_user(data: &Path, user: RunAs) -> io::Result<PathBuf> {
    let data = CString::new(data.as_os_str().as_bytes())?;
    let done = |code: libc::c_int| {
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    let mut death_signal: libc::c_int = 0;
    let none = ptr::null();
    // SAFETY: system calls on this process alone, which has one thread; every pointer is null or to a value that
    // lives longer than its call.
    unsafe {
        let parent = libc::getppid();
        done(libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut death_signal))?;
        done(libc::unshare(libc::CLONE_NEWNS))?;
        // Nothing of it is seen outside.
        let private = libc::MS_REC | libc::MS_PRIVATE;
        done(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
        done(libc::mount(data.as_ptr(), PLACE.as_ptr(), none, libc::MS_BIND, none.cast()))?;
        done(libc::setgroups(0, ptr::null()))?;
        done(libc::setresgid(user.gid, user.gid, user.gid))?;
        done(libc::setresuid(user.uid, user.uid, user.uid))?;
        // A change of user takes from a process what Linux tells it of itself, and its parent's death.
        done(libc::prctl(libc::PR_SET_DUMPABLE, 1))?;
        done(libc::prctl(libc::PR_SET_PDEATHSIG, death_signal))?;
        if death_signal != 0 && libc::getppid() != parent {
            return Err(io::Error::other("the parent has ended"));
        }
    }
    Ok(PathBuf::from("/mnt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_nobody_to_run_as() {
        assert_eq!("101:104".parse(), Ok(RunAs { uid: 101, gid: 104 }));
        for wrong in ["", "101", "0:0", "0:104", "101:0", "-1:1", "a:b", "1:2:3", " 1:2"] {
            assert_eq!(wrong.parse::<RunAs>(), Err(InvalidRunAs), "{wrong:?}");
        }
    }
}
