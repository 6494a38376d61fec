//! Finding programs and users on this machine.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::{env, io, mem, ptr};

/// A user that a child runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// The user of this name, if the machine has it.
pub(super) fn user(name: &str) -> io::Result<Option<User>> {
    let name = CString::new(name)?;
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut found = ptr::null_mut();
    // SAFETY: all-zero bytes are a valid `passwd`, whose pointers are only read after a success.
    let mut entry: libc::passwd = unsafe { mem::zeroed() };
    // SAFETY: every pointer is to a live value, and the length is the buffer's own.
    let code = unsafe {
        libc::getpwnam_r(
            name.as_ptr(),
            &raw mut entry,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut found,
        )
    };
    match (code, found.is_null()) {
        (0, false) => Ok(Some(User { uid: entry.pw_uid, gid: entry.pw_gid })),
        (0, true) => Ok(None),
        (code, _) => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The folders of `PATH`.
pub(super) fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// The program of this name in the first folder that has it.
pub(super) fn find_program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| is_program(path))
}

/// Whether a file is there and executable by someone.
pub(super) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
