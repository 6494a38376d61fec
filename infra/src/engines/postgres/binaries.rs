//! Finding PostgreSQL's programs on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::{EngineError, process};
use super::ENGINE;

/// The oldest PostgreSQL that Pulsetrail works with.
const OLDEST: u32 = 15;

/// The folder of the programs that fit an existing cluster, else of the newest ones.
pub(super) fn find(cluster: &Path) -> Result<PathBuf, EngineError> {
    let mut found = candidates();
    found.retain(|(version, _)| *version >= OLDEST);
    let of_cluster = fs::read_to_string(cluster.join("PG_VERSION")).ok();
    let of_cluster = of_cluster.and_then(|version| version.trim().parse::<u32>().ok());
    let wanted = |version: u32| of_cluster.is_none_or(|of_cluster| of_cluster == version);
    found
        .into_iter()
        .filter(|(version, _)| wanted(*version))
        .max()
        .map(|(_, folder)| folder)
        .ok_or_else(|| {
            let missing = of_cluster.map_or_else(
                || {
                    format!(
                        "no PostgreSQL {OLDEST} or newer in PATH, pg_config or /usr/lib/postgresql"
                    )
                },
                |version| {
                    format!(
                        "{} needs PostgreSQL {version}, which is not on this machine",
                        cluster.display()
                    )
                },
            );
            EngineError::NotInstalled { engine: ENGINE, missing }
        })
}

/// Folders with both programs, and the major version of each.
fn candidates() -> Vec<(u32, PathBuf)> {
    let mut folders = process::search_path();
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    // Debian and its kin; Fedora and its kin.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    let packages = fs::read_dir("/usr").into_iter().flatten().flatten();
    let packages =
        packages.filter(|entry| entry.file_name().to_string_lossy().starts_with("pgsql-"));
    folders.extend(packages.map(|package| package.path().join("bin")));
    folders.sort();
    folders.dedup();
    folders.retain(|folder| {
        ["postgres", "initdb"].iter().all(|program| process::is_program(&folder.join(program)))
    });
    folders.into_iter().filter_map(|folder| Some((version(&folder)?, folder))).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15.
fn version(folder: &Path) -> Option<u32> {
    let said = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let number = said.split(") ").nth(1)?;
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}
