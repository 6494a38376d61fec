//! The log that a child appends to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A log larger than this is put aside when its child starts; one old log is kept.
const LARGEST_BYTES: u64 = 10 * 1024 * 1024;

/// Opens a log for appending.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|metadata| metadata.len() > LARGEST_BYTES) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The newest line of a log that is not empty, shortened to 300 characters.
pub fn last_line(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let tail = String::from_utf8_lossy(&tail).into_owned();
        Ok(tail
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("(empty)")
            .trim()
            .to_owned())
    };
    let line = read().unwrap_or_else(|error| error.to_string());
    line.chars().take(300).collect()
}
