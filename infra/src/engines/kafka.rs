//! The private Kafka: one KRaft node, broker and controller in one, on loopback. Both of its listeners ask for a
//! password, which the clients get from the supervisor: other users of the machine read and write nothing.

mod files;

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::data_dir::{at, replace};
use super::supervisor::{self, ChildSpec};
use super::{
    DataDir, Engine, EngineError, EngineSettings, Private, Started, installed, leftover, probe,
    process,
};
use crate::kafka::Brokers;

const ENGINE: Engine = Engine::Kafka;

/// What Kafka's own start script sets, within 512 MiB of heap.
const BROKER_FLAGS: &[&str] = &[
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:MaxInlineLevel=15",
    // A broker without memory is of no use; a new one is.
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
];

/// A short run, which compiling well would only slow down.
const FORMAT_FLAGS: &[&str] = &["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Asks the external Kafka, or starts a private one.
pub(super) async fn start(
    settings: &EngineSettings,
    data_dir: &DataDir,
) -> Result<Started, EngineError> {
    if let Some(url) = &settings.kafka_brokers {
        let brokers = Brokers::from(url);
        probe::external(ENGINE, brokers.addresses(), settings.external_timeout, || {
            probe::kafka(&brokers)
        })
        .await?;
        return Ok(Started { url: url.clone(), private: None });
    }
    let java = Java { program: java()?, installed: installed::kafka(settings)? };
    let folder = data_dir.folder(ENGINE.name())?;
    leftover::wait_gone(ENGINE, "java", &folder).await?;
    let ports = files::Ports {
        broker: data_dir.port("kafka")?,
        controller: data_dir.port("kafka-controller")?,
    };
    let password = data_dir.secret("kafka-password")?;
    // Readable by its owner alone.
    replace(
        &folder.join("server.properties"),
        &files::server_properties(&folder.join("data"), ports, &password),
    )?;
    replace(&folder.join("log4j2.properties"), files::LOG4J2)?;
    empty_folder(&folder.join("tmp"))?;
    let log = data_dir.log(ENGINE.name());
    format(&java, &folder, &log).await?;

    let spec = java.child(
        ENGINE.name(),
        &folder,
        &log,
        BROKER_FLAGS,
        &["kafka.Kafka", "server.properties"],
    )?;
    let spec = ChildSpec { stop_timeout: Duration::from_secs(15), ..spec };
    let child = supervisor::supervise(spec)
        .await
        .map_err(|error| EngineError::Start { engine: ENGINE, detail: error.to_string() })?;
    let url = format!("{}:{password}@127.0.0.1:{}", files::USER, ports.broker);
    let brokers = Brokers::from(&url);
    probe::private(ENGINE, &child, &log, settings.start_timeout, || probe::kafka(&brokers)).await?;
    let addresses = [ports.broker, ports.controller]
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .to_vec();
    Ok(Started { url, private: Some(Private { engine: ENGINE, child, addresses }) })
}

/// Formats the node's folder at the first start; a start that was cut short begins anew.
async fn format(java: &Java, folder: &Path, log: &Path) -> Result<(), EngineError> {
    let done = folder.join("formatted");
    if done.exists() {
        return Ok(());
    }
    empty_folder(&folder.join("data"))?;
    let cluster_id = files::cluster_id();
    let main = ["kafka.tools.StorageTool", "format", "-t", &cluster_id, "-c", "server.properties"];
    let ended = supervisor::output(java.child("kafka-format", folder, log, FORMAT_FLAGS, &main)?)
        .await
        .map_err(|error| EngineError::Start {
            engine: ENGINE,
            detail: format!("format: {error}"),
        })?;
    if !ended.status.success() {
        let said = if ended.stderr.is_empty() { ended.stdout } else { ended.stderr };
        let said = probe::one_line(&String::from_utf8_lossy(&said));
        return Err(EngineError::Start { engine: ENGINE, detail: format!("format: {said}") });
    }
    replace(&done, &cluster_id)
}

/// A folder with nothing in it: Java unpacks its compression libraries anew at every start.
fn empty_folder(path: &Path) -> Result<(), EngineError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(at(path))?;
    }
    fs::create_dir(path).map_err(at(path))
}

/// The Java of this machine with the installed Kafka.
#[derive(Debug)]
struct Java {
    program: PathBuf,
    installed: PathBuf,
}

impl Java {
    fn child(
        &self,
        name: &str,
        folder: &Path,
        log: &Path,
        flags: &[&str],
        main: &[&str],
    ) -> Result<ChildSpec, EngineError> {
        // An archive of loaded classes halves the start. Java ignores one that does not fit.
        let mut archive = OsString::from("-XX:SharedArchiveFile=");
        archive.push(self.installed.join("classes-sasl.jsa"));
        let spec = ChildSpec::new(name, &self.program, log)
            .args(flags)
            .args([archive])
            .args(["-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr", "-XX:-UsePerfData"])
            .args(["-Djava.io.tmpdir=tmp", "-Dlog4j2.configurationFile=log4j2.properties", "-cp"])
            .args([class_path(&self.installed.join("lib"))?])
            .args(main);
        Ok(ChildSpec { current_dir: Some(folder.to_owned()), ..spec })
    }
}

/// Every jar, sorted: the archive of classes is valid for one order only.
fn class_path(lib: &Path) -> Result<OsString, EngineError> {
    let entries = fs::read_dir(lib).map_err(at(lib))?;
    let mut jars: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .collect();
    jars.sort();
    std::env::join_paths(jars)
        .map_err(|error| EngineError::Start { engine: ENGINE, detail: error.to_string() })
}

/// `JAVA_HOME`'s Java, else that of `PATH`.
fn java() -> Result<PathBuf, EngineError> {
    let home = std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let mut folders: Vec<PathBuf> =
        home.map(|home| PathBuf::from(home).join("bin")).into_iter().collect();
    folders.extend(process::search_path());
    process::find_program("java", &folders).ok_or_else(|| EngineError::NotInstalled {
        engine: ENGINE,
        missing: "there is no `java` in JAVA_HOME or PATH".to_owned(),
    })
}
