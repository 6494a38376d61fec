//! The private PostgreSQL: a cluster made with the machine's own binaries.
//!
//! PostgreSQL refuses to run as root, so as root it runs as the user `postgres`, who may be unable to walk
//! to the data directory (below `/root`, say). It is therefore handed its folder as an open file and told
//! that its data lies in `/proc/self/fd/<number>`: no folder has to be opened up to anybody.

mod binaries;
mod initialize;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::data_dir::{self, at};
use super::settings::address_of;
use super::supervisor::{self, ChildSpec, Signal, User};
use super::{
    DataDir, Engine, EngineError, EngineSettings, Private, Started, leftover, probe, process,
};

const ENGINE: Engine = Engine::Postgres;
/// The superuser of the private cluster, and the name of its database.
const NAME: &str = "pulsetrail";

/// Some hundred short connections and many small commits, durable ones.
const OPTIONS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("max_connections", "200"),
    ("shared_buffers", "256MB"),
    ("wal_compression", "on"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("random_page_cost", "1.1"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("log_checkpoints", "off"),
];

/// Asks the external PostgreSQL, or starts a private one.
pub(super) async fn start(
    settings: &EngineSettings,
    data_dir: &DataDir,
) -> Result<Started, EngineError> {
    if let Some(url) = &settings.database_url {
        probe::external(ENGINE, &address_of(url), settings.external_timeout, || {
            probe::postgres(url)
        })
        .await?;
        return Ok(Started { url: url.clone(), private: None });
    }
    let folder = data_dir.folder(ENGINE.name())?;
    let cluster = folder.join("data");
    let password = data_dir.secret("postgres-password")?;
    leftover::wait_gone(ENGINE, "postgres", &cluster).await?;
    let binaries = binaries::find(&cluster)?;
    if !cluster.exists() {
        let durable = !settings
            .postgres_options
            .iter()
            .any(|(name, value)| name == "fsync" && value == "off");
        initialize::initialize(&binaries, &folder, &cluster, &password, durable).await?;
    }
    remove_stale_lock(&cluster)?;

    let port = data_dir.port(ENGINE.name())?;
    let log = data_dir.log(ENGINE.name());
    let child =
        supervisor::supervise(server(settings, &binaries.join("postgres"), &cluster, port, &log)?)
            .await
            .map_err(|error| EngineError::Start { engine: ENGINE, detail: error.to_string() })?;
    let maintenance = url(&password, port, "postgres");
    probe::private(ENGINE, &child, &log, settings.start_timeout, || probe::postgres(&maintenance))
        .await?;
    if let Err(error) = create_database(&maintenance).await {
        child.stop().await;
        return Err(EngineError::Start { engine: ENGINE, detail: error.to_string() });
    }
    let addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    Ok(Started {
        url: url(&password, port, NAME),
        private: Some(Private { engine: ENGINE, child, addresses }),
    })
}

/// Where the private PostgreSQL of a data directory is while it runs; none where there never was one.
///
/// # Errors
/// [`EngineError::DataDir`].
pub(super) fn of_data_dir(path: &Path) -> Result<Option<String>, EngineError> {
    let secret = data_dir::kept_secret(path, "postgres-password")?;
    let port = data_dir::remembered_port(path, ENGINE.name())?;
    Ok(secret.zip(port).map(|(password, port)| url(&password, port, NAME)))
}

fn url(password: &str, port: u16, database: &str) -> String {
    format!("postgres://{NAME}:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
}

fn server(
    settings: &EngineSettings,
    program: &Path,
    cluster: &Path,
    port: u16,
    log: &Path,
) -> Result<ChildSpec, EngineError> {
    let folder = open_folder(cluster)?;
    let mut options: Vec<(&str, String)> = vec![("port", port.to_string())];
    options.extend(OPTIONS.iter().map(|(name, value)| (*name, (*value).to_owned())));
    options.extend(
        settings.postgres_options.iter().map(|(name, value)| (name.as_str(), value.clone())),
    );
    let mut spec = ChildSpec::new(ENGINE.name(), program, log).args(["-D", &open_path(&folder)]);
    for (name, value) in options {
        spec = spec.args(["-c", &format!("{name}={value}")]);
    }
    Ok(ChildSpec {
        user: owner(cluster)?,
        inherit_files: vec![folder],
        // Aborts what runs and closes the cluster; it is a matter of milliseconds up to one checkpoint.
        stop_signal: Signal::Interrupt,
        stop_timeout: Duration::from_secs(20),
        // Ends every backend at once; the next start replays the log. SIGKILL would leave backends that
        // notice only when they next wait.
        death_signal: Signal::Quit,
        ..clean(spec)
    })
}

/// A child of PostgreSQL's with nothing of this process's environment but `PATH`, at work in `/`, where
/// every user may be.
fn clean(spec: ChildSpec) -> ChildSpec {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ChildSpec {
        inherit_env: false,
        current_dir: Some("/".into()),
        ..spec.env("PATH", path).env("LC_ALL", "C")
    }
}

/// An open folder for a child to inherit.
fn open_folder(path: &Path) -> Result<Arc<OwnedFd>, EngineError> {
    Ok(Arc::new(OwnedFd::from(File::open(path).map_err(at(path))?)))
}

/// The path under which a child reaches a file that it inherits.
fn open_path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Who runs the cluster: its owner, when this process is root.
fn owner(cluster: &Path) -> Result<Option<User>, EngineError> {
    let metadata = cluster.metadata().map_err(at(cluster))?;
    Ok(process::is_root().then_some(User { uid: metadata.uid(), gid: metadata.gid() }))
}

/// Nothing works in the cluster's folder any more, so the process that a lock file names, if there is one,
/// is another that was given the same number.
fn remove_stale_lock(cluster: &Path) -> Result<(), EngineError> {
    let lock = cluster.join("postmaster.pid");
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(&lock)(error)),
        _ => Ok(()),
    }
}

async fn create_database(maintenance: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(maintenance).await?;
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(NAME)
            .fetch_one(&mut connection)
            .await?;
    if !there {
        sqlx::raw_sql("create database pulsetrail").execute(&mut connection).await?;
    }
    connection.close().await
}
