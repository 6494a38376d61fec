//! What a killed run left behind: engines that are still ending.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Engine, EngineError};

/// PostgreSQL gives its backends 5 s to end before it kills them; the others end at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until no process of this program works in this folder. Every engine runs with its folder as
/// working directory, so that this finds orphaned children of a killed engine too.
pub(super) async fn wait_gone(
    engine: Engine,
    program: &str,
    folder: &Path,
) -> Result<(), EngineError> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(pid) = find(program, folder) {
        if Instant::now() > deadline {
            return Err(EngineError::InUse { engine, pid, path: folder.to_owned() });
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

fn find(program: &str, folder: &Path) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let directory = fs::read_link(entry.path().join("cwd")).ok()?;
        let executable = fs::read_link(entry.path().join("exe")).ok()?;
        (directory == folder && executable.file_name()?.to_str()?.starts_with(program))
            .then_some(pid)
    })
}
