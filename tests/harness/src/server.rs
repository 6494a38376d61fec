//! One more server beside an application that runs.

use std::process::Stdio;

use tokio::net::TcpListener;
use tokio::process::Child;

use crate::{Corner, until_ready};

/// A `pulsetrail server` as a process of its own. Dropped, it is killed.
pub struct Server {
    /// Where its HTTP interface is.
    pub url: String,
    child: Child,
}

impl Corner {
    /// Starts a server in this corner, whose schemas are there, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn server(&self) -> Server {
        // A port that was free a moment ago; nobody else on this machine asks for it by number.
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", free.local_addr().expect("its address"));
        drop(free);
        self.server_at(&url).await
    }

    /// The same where another one was.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn server_at(&self, url: &str) -> Server {
        let mut command = self.command(["server"]);
        command.env("PULSETRAIL_LISTEN", url.trim_start_matches("http://"));
        let child = command.stderr(Stdio::null()).spawn().expect("the program starts");
        until_ready(url).await;
        Server { url: url.to_owned(), child }
    }
}

impl Server {
    /// Kills it as a crash would.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Stops it where it stands: it keeps its connections and does nothing any more.
    ///
    /// # Panics
    /// When it has ended.
    pub fn stand_still(&self) {
        let pid = self.child.id().expect("it is running").to_string();
        let sent = std::process::Command::new("kill").args(["-STOP", &pid]).status();
        assert!(sent.expect("kill").success(), "kill -STOP {pid}");
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it is running")
    }
}
