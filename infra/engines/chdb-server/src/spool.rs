//! Files that hold the rows of an INSERT until the engine has read them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The directory of these files; it belongs to one server alone.
pub(crate) struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// Makes the directory and empties it of what a killed server left.
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A new empty file with a name that nobody else chooses.
    pub(crate) fn create(&self) -> io::Result<SpoolFile> {
        let path = self.directory.join(uuid::Uuid::new_v4().simple().to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(SpoolFile { path, file })
    }
}

/// One file, removed when dropped.
pub(crate) struct SpoolFile {
    path: PathBuf,
    pub(crate) file: File,
}

impl SpoolFile {
    pub(crate) fn path_bytes(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(file.path = %self.path.display(), %error, "a spooled insert could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_when_dropped_and_leftovers_go_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool");
        let spool = Spool::open(path.clone()).unwrap();
        let file = spool.create().unwrap();
        assert!(file.path.exists());
        drop(file);
        std::mem::forget(spool.create().unwrap());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        Spool::open(path.clone()).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
}
