//! The real application as a process, in a corner of its own on the shared engines.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pulsetrail_infra::engines::EngineUrls;
use pulsetrail_infra::kafka::Kafka;
use pulsetrail_infra::store::Store;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::within;

/// What every process of the tests shows its metrics for.
const METRICS_TOKEN: &str = "a-token-that-only-tests-know";

/// How long a process may take until it is ready.
const START: Duration = Duration::from_secs(60);

/// A corner of the shared engines: a Postgres database, a prefix of topics, a ClickHouse database and a
/// data directory that no other test knows.
pub struct Corner {
    /// The name that they share.
    pub name: String,
    /// The engines, with the corner's own Postgres database.
    pub urls: EngineUrls,
    /// The data directory.
    pub data_dir: tempfile::TempDir,
    binary: PathBuf,
}

impl Corner {
    /// A new corner on the given engines, for the `pulsetrail` at `binary`.
    ///
    /// # Panics
    /// When Postgres refuses to make the database.
    pub async fn new(engines: &EngineUrls, binary: impl AsRef<Path>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let mut connection =
            PgConnection::connect(&engines.database_url).await.expect("Postgres answers");
        sqlx::query(&format!("create database {name}"))
            .execute(&mut connection)
            .await
            .expect("a database of the corner's own");
        let mut database_url: url::Url = engines.database_url.parse().expect("a URL");
        database_url.set_path(&name);
        let urls = EngineUrls { database_url: database_url.into(), ..engines.clone() };
        let data_dir = tempfile::tempdir().expect("a folder for temporary files");
        Self { name, urls, data_dir, binary: binary.as_ref().to_owned() }
    }

    /// Connections to the corner's event store.
    ///
    /// # Panics
    /// When Postgres does not answer.
    pub async fn store(&self) -> Store {
        Store::connect(&self.urls.database_url, 4).await.expect("Postgres answers")
    }

    /// The corner's topics.
    pub fn kafka(&self) -> Kafka {
        Kafka::new(&self.urls.kafka_brokers, &self.name)
    }

    /// A command of `pulsetrail` in this corner: loopback is let through by the shield.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.binary);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("PULSETRAIL_") {
                command.env_remove(key);
            }
        }
        command
            .args(arguments)
            .env("PULSETRAIL_LISTEN", "127.0.0.1:0")
            .env("PULSETRAIL_DATA_DIR", self.data_dir.path())
            .env("PULSETRAIL_DATABASE_URL", &self.urls.database_url)
            .env("PULSETRAIL_KAFKA_BROKERS", &self.urls.kafka_brokers)
            .env("PULSETRAIL_CLICKHOUSE_URL", &self.urls.clickhouse_url)
            .env("PULSETRAIL_CLICKHOUSE_DATABASE", &self.name)
            .env("PULSETRAIL_TOPIC_PREFIX", &self.name)
            .env("PULSETRAIL_EGRESS_ALLOW", "127.0.0.0/8")
            .env("PULSETRAIL_JWT_SECRET", "a secret that only tests know, 32 bytes")
            .env("PULSETRAIL_SECRET_KEY", "a-key-that-only-tests-know-of-32-bytes")
            .env("PULSETRAIL_METRICS_TOKEN", METRICS_TOKEN)
            .env("PULSETRAIL_LOG", "info")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts every role in one process, with a prober as its child, and waits until it is ready.
    ///
    /// # Panics
    /// When it ends or is not ready in time; what it logged is shown.
    pub async fn start(&self) -> App {
        App::start(self.command(["up"]), &self.data_dir.path().join("test.log")).await
    }
}

/// A running `pulsetrail up`. Dropped, it is killed.
pub struct App {
    /// Where its HTTP interface is: `http://127.0.0.1:port`.
    pub url: String,
    child: Child,
    /// Kept open: a process that cannot write its output would fail.
    _output: BufReader<ChildStdout>,
}

impl App {
    /// Starts `command` and waits for the line that says where it is ready.
    ///
    /// # Panics
    /// When it ends or is not ready in time; what it logged is shown.
    pub async fn start(mut command: Command, log: &Path) -> Self {
        let errors = std::fs::OpenOptions::new().create(true).append(true).open(log);
        let errors = errors.expect("a log file");
        let mut child =
            command.stdout(Stdio::piped()).stderr(errors).spawn().expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut said = String::new();
        let ready = async {
            loop {
                let from = said.len();
                if output.read_line(&mut said).await.expect("its output") == 0 {
                    return None;
                }
                if let Some((_, url)) = said[from..].split_once(" s: http") {
                    return Some(format!("http{}", url.trim()));
                }
            }
        };
        let url = tokio::time::timeout(START, ready).await.ok().flatten();
        let url = url.unwrap_or_else(|| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("it did not become ready; it said:\n{said}\nand logged:\n{log}")
        });
        Self { url, child, _output: output }
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }

    /// Sends it a signal by number.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill").success(), "kill {signal} {pid}");
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Panics
    /// When it does not stop within 20 s.
    pub async fn stop(self) -> ExitStatus {
        self.signal("-TERM");
        self.stopped().await
    }

    /// Waits until it has ended, as it was asked to before.
    ///
    /// # Panics
    /// When it does not stop within 20 s.
    pub async fn stopped(mut self) -> ExitStatus {
        let stopped = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        stopped.expect("it stops in time").expect("its status")
    }

    /// Kills it as a crash would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}

/// The metrics of the process at `url`; none if it does not show them.
pub async fn metrics(url: &str) -> Option<String> {
    metrics_by(&crate::http_client(), url).await
}

/// The same, asked for by a client of the caller's.
pub async fn metrics_by(client: &reqwest::Client, url: &str) -> Option<String> {
    let asked = client.get(format!("{url}/metrics")).bearer_auth(METRICS_TOKEN);
    let answer = asked.send().await.ok().filter(|answer| answer.status().is_success())?;
    answer.text().await.ok()
}

/// Waits until an HTTP address answers `/readyz` with 200.
///
/// # Panics
/// When it does not in time.
pub async fn until_ready(url: &str) {
    let client = crate::http_client();
    within(START, "the process is ready", async || {
        let answer = client.get(format!("{url}/readyz")).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}
