//! A server in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "it's a secret";

/// The package version, which names the directory that `make engines` installs it in.
const PACKAGE: &str = include_str!("../../../chdb/package.json");

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chdb-server"))
            .args(["--listen", "127.0.0.1:0", "--path"])
            .arg(directory)
            .arg("--library")
            .arg(library())
            .env("CHDB_PASSWORD", PASSWORD)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        Self { child, url: url.to_owned() }
    }

    pub(crate) fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default()
            .with_url(&self.url)
            .with_user("default")
            .with_password(PASSWORD)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server that tests share, each in a database of its own; it ends with its standard output's reader.
pub(crate) struct Shared {
    server: Server,
    _directory: TempDir,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let shared = Shared { server: Server::start(directory.path()), _directory: directory };
    // A static is never dropped: the child and its directory are cleaned up when the process ends.
    ends_with_us(&shared);
    shared
});

/// A watcher that outlives this process, and kills the server and removes its directory after it.
#[expect(clippy::zombie_processes, reason = "it outlives this process on purpose")]
fn ends_with_us(shared: &Shared) {
    let script = "while kill -0 $0 2>/dev/null; do sleep 0.2; done; kill -9 $1; rm -rf \"$2\"";
    Command::new("sh")
        .args(["-c", script])
        .arg(std::process::id().to_string())
        .arg(shared.server.child.id().to_string())
        .arg(shared._directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
}

pub(crate) fn shared() -> &'static Server {
    &SHARED.server
}

/// A client with a database that no other test uses.
pub(crate) async fn database() -> (clickhouse::Client, String) {
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let client = shared().client();
    client.query(&format!("CREATE DATABASE {name}")).execute().await.unwrap();
    (client.with_database(&name), name)
}

/// A plain HTTP client.
pub(crate) fn http() -> reqwest::Client {
    // A second installation is refused, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A POST to the shared server with the password and these parameters.
pub(crate) fn post(parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    http()
        .post(format!("{}/?{}", shared().url, query.join("&")))
        .header("X-ClickHouse-User", "default")
        .header("X-ClickHouse-Key", PASSWORD)
}

pub(crate) fn escape(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Sends a query with these parameters and gives status and text.
pub(crate) async fn ask(query: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    let response = post(parameters).body(query.to_owned()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("PULSETRAIL_CHDB_LIB") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    let package: serde_json::Value = serde_json::from_str(PACKAGE).unwrap();
    let version = package["dependencies"]["@chdb/lib-linux-x64-gnu"].as_str().unwrap();
    let path = cache.join(format!(
        "pulsetrail/engines/chdb-{version}/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so"
    ));
    assert!(path.exists(), "{} is missing: run `make engines`", path.display());
    path
}
