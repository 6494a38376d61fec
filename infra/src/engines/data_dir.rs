//! The data directory: one user at a time, one format, secrets that only its owner reads, and the ports
//! that the private engines keep.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rand::RngExt;

use super::EngineError;

/// The format of the data directory that this program writes.
const FORMAT: u32 = 1;

/// Ports are taken from below Linux's ephemeral range (`ip_local_port_range`, 32768 and up), so that an
/// outgoing connection does not sit on a remembered port while its engine restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A data directory, locked until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    ports: Mutex<()>,
}

impl DataDir {
    /// Creates the directory where it is missing, locks it and checks its format.
    ///
    /// # Errors
    /// [`EngineError::Locked`], [`EngineError::NewerVersion`] or [`EngineError::DataDir`].
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        create_private_dir(path)?;
        let path = fs::canonicalize(path).map_err(at(path))?;
        let lock = lock(&path)?;
        check_format(&path.join("version"))?;
        create_private_dir(&path.join("logs"))?;
        Ok(Self { path, _lock: lock, ports: Mutex::new(()) })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a child of this name logs.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// A folder of this name, created where it is missing, readable by its owner alone.
    ///
    /// # Errors
    /// [`EngineError::DataDir`].
    pub fn folder(&self, name: &str) -> Result<PathBuf, EngineError> {
        let folder = self.path.join(name);
        create_private_dir(&folder)?;
        Ok(folder)
    }

    /// The secret of this name: 32 random bytes in hexadecimal, made at the first call and kept in a file
    /// that only its owner reads.
    ///
    /// # Errors
    /// [`EngineError::DataDir`].
    pub fn secret(&self, name: &str) -> Result<String, EngineError> {
        if let Some(secret) = kept_secret(&self.path, name)? {
            return Ok(secret);
        }
        let path = self.folder("secrets")?.join(name);
        let bytes: [u8; 32] = rand::rng().random();
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        replace(&path, &secret)?;
        Ok(secret)
    }

    /// The port of this name on 127.0.0.1: the remembered one while it is free, else a new one, remembered.
    ///
    /// # Errors
    /// [`EngineError::DataDir`], also where no port is free.
    pub fn port(&self, name: &str) -> Result<u16, EngineError> {
        let _one_at_a_time = self.ports.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = self.path.join("ports");
        let text = read_if_there(&path)?;
        let mut ports = parse_ports(&text);
        let remembered =
            ports.iter().find(|(remembered, _)| *remembered == name).map(|(_, port)| *port);
        if let Some(port) = remembered.filter(|port| is_free(*port)) {
            return Ok(port);
        }
        let port = (0..1_000)
            .map(|_| rand::rng().random_range(PORTS))
            .find(|port| ports.iter().all(|(_, other)| other != port) && is_free(*port))
            .ok_or_else(|| at(&path)(io::Error::from(io::ErrorKind::AddrInUse)))?;
        if let Some(taken) = remembered {
            tracing::warn!(
                port.name = name,
                port.taken = taken,
                port.chosen = port,
                "a remembered port is taken by another program"
            );
        }
        ports.retain(|(other, _)| *other != name);
        ports.push((name, port));
        let lines: String = ports.iter().map(|(name, port)| format!("{name}={port}\n")).collect();
        replace(&path, &lines)?;
        Ok(port)
    }
}

/// The secret of this name in the data directory at `path`, also while another process works there; none
/// where none was made.
///
/// # Errors
/// [`EngineError::DataDir`].
pub fn kept_secret(path: &Path, name: &str) -> Result<Option<String>, EngineError> {
    let secret = read_if_there(&path.join("secrets").join(name))?;
    let secret = secret.trim();
    Ok((!secret.is_empty()).then(|| secret.to_owned()))
}

/// The port of this name that was chosen last in the data directory at `path`, if one was.
///
/// # Errors
/// [`EngineError::DataDir`].
pub(super) fn remembered_port(path: &Path, name: &str) -> Result<Option<u16>, EngineError> {
    let text = read_if_there(&path.join("ports"))?;
    Ok(parse_ports(&text).into_iter().find(|(other, _)| *other == name).map(|(_, port)| port))
}

fn parse_ports(text: &str) -> Vec<(&str, u16)> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter_map(|(name, port)| Some((name, port.parse().ok()?)))
        .collect()
}

/// The text of a file; empty where there is none.
fn read_if_there(path: &Path) -> Result<String, EngineError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(at(path)(error)),
    }
}

/// Adds the path to an error of the file system.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::DataDir { path, source }
}

/// Writes a file as a whole or not at all, readable by its owner alone.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), EngineError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(at(path))
}

fn create_private_dir(path: &Path) -> Result<(), EngineError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn lock(directory: &Path) -> Result<File, EngineError> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).ok();
            let holder = if holder.trim().is_empty() { "?" } else { holder.trim() };
            return Err(EngineError::Locked {
                path: directory.to_owned(),
                holder: holder.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
    }
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write().map_err(at(&path))?;
    Ok(file)
}

fn check_format(path: &Path) -> Result<(), EngineError> {
    match fs::read_to_string(path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found <= FORMAT => Ok(()),
            _ => Err(EngineError::NewerVersion {
                path: path.to_owned(),
                found: text.trim().to_owned(),
                known: FORMAT,
            }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            replace(path, &format!("{FORMAT}\n"))
        }
        Err(error) => Err(at(path)(error)),
    }
}
