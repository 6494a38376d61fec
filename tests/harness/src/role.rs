//! One role of the application as a process of its own.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::Child;

use crate::{Corner, metrics, until_ready};

/// A running `pulsetrail <role>`. Dropped, it is killed.
pub struct RoleProcess {
    /// Where its HTTP interface is: `http://127.0.0.1:port`.
    pub url: String,
    child: Child,
    log: PathBuf,
}

impl Corner {
    /// Starts a role as a process of its own. It is not waited for: see [`RoleProcess::until_ready`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn role(&self, role: &str) -> RoleProcess {
        self.role_with(role, &[]).await
    }

    /// The same with more settings.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn role_with(&self, role: &str, settings: &[(&str, &str)]) -> RoleProcess {
        // A port that was free a moment ago; nobody else on this machine asks for it by number.
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = free.local_addr().expect("the listener's address");
        drop(free);
        let log = self.data_dir.path().join(format!("{role}-{}.log", address.port()));
        let errors = std::fs::File::create(&log).expect("a log file");
        let mut command = self.command([role]);
        command.env("PULSETRAIL_LISTEN", address.to_string()).envs(settings.iter().copied());
        command.stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().expect("the program starts");
        RoleProcess { url: format!("http://{address}"), child, log }
    }
}

impl RoleProcess {
    /// Waits until it is ready, and returns it.
    ///
    /// # Panics
    /// When it is not in time.
    pub async fn until_ready(self) -> Self {
        until_ready(&self.url).await;
        self
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The sum of a metric over its labels; 0 where it has none yet, or does not answer.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.url, name).await
    }

    /// Sends it a signal, such as `-STOP`.
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
    pub async fn stop(mut self) -> ExitStatus {
        self.end().await
    }

    /// The same, and its log can be read afterwards.
    ///
    /// # Panics
    /// When it does not stop within 20 s.
    pub async fn end(&mut self) -> ExitStatus {
        self.signal("-TERM");
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

impl Drop for RoleProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(40);
            let end: Vec<&str> = log.lines().skip(from).collect();
            eprintln!("the end of {}:\n{}", self.log.display(), end.join("\n"));
        }
    }
}

/// The sum of a metric of the process at `url` over its labels; 0 where it has none yet, or does not
/// answer.
pub async fn metric(url: &str, name: &str) -> f64 {
    let text = metrics(url).await.unwrap_or_default();
    let of_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
    let values = text.lines().filter(of_it).filter_map(|line| line.rsplit_once(' '));
    values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}
