//! Making a cluster, as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, fchown};
use std::path::Path;
use std::sync::Arc;

use super::super::data_dir::at;
use super::super::supervisor::{self, ChildSpec, User};
use super::super::{EngineError, probe, process};
use super::{ENGINE, NAME, clean, open_folder, open_path};

/// Runs `initdb` in a folder beside the cluster's and renames it when it is done.
pub(super) async fn initialize(
    binaries: &Path,
    folder: &Path,
    cluster: &Path,
    password: &str,
    durable: bool,
) -> Result<(), EngineError> {
    let user = user()?;
    let new = folder.join("data.new");
    if new.exists() {
        fs::remove_dir_all(&new).map_err(at(&new))?;
    }
    fs::DirBuilder::new().mode(0o700).create(&new).map_err(at(&new))?;
    if let Some(User { uid, gid }) = user {
        chown(&new, Some(uid), Some(gid)).map_err(at(&new))?;
    }
    let new_folder = open_folder(&new)?;
    let password_file = password_file(folder, password, user)?;
    let spec = ChildSpec::new("initdb", binaries.join("initdb"), "")
        .args(["-D", &open_path(&new_folder), "-U", NAME, "--pwfile", &open_path(&password_file)])
        .args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
            // Commands wait while a new segment of the log is filled with zeros and synced: 35 ms for the
            // usual 16 MB, on a disk that others write to.
            "--wal-segsize=4",
        ])
        .args((!durable).then_some("--no-sync"));
    let spec = ChildSpec { user, inherit_files: vec![new_folder, password_file], ..clean(spec) };
    let ended = supervisor::output(spec).await.map_err(|error| EngineError::Start {
        engine: ENGINE,
        detail: format!("initdb: {error}"),
    })?;
    if !ended.status.success() {
        let said = probe::one_line(&String::from_utf8_lossy(&ended.stderr));
        return Err(EngineError::Start { engine: ENGINE, detail: format!("initdb: {said}") });
    }
    fs::rename(&new, cluster).map_err(at(cluster))
}

/// Whom a new cluster belongs to: the user `postgres`, when this process is root.
fn user() -> Result<Option<User>, EngineError> {
    if !process::is_root() {
        return Ok(None);
    }
    match process::user("postgres") {
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) => Err(EngineError::NotInstalled {
            engine: ENGINE,
            missing: "it does not run as root and there is no user `postgres`".to_owned(),
        }),
        Err(error) => {
            Err(EngineError::Start { engine: ENGINE, detail: format!("user postgres: {error}") })
        }
    }
}

/// An open file with the password, which has no name any more.
fn password_file(
    folder: &Path,
    password: &str,
    user: Option<User>,
) -> Result<Arc<OwnedFd>, EngineError> {
    let path = folder.join("password.new");
    let make = || {
        fs::remove_file(&path).ok();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "{password}")?;
        if let Some(User { uid, gid }) = user {
            fchown(&file, Some(uid), Some(gid))?;
        }
        let file = File::open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    };
    let file = make().map_err(at(&path))?;
    Ok(Arc::new(OwnedFd::from(file)))
}
