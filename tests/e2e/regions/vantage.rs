//! A target that answers some probers and fails others, as a network does that is broken in one place.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::routing::any;
use tokio::net::TcpListener;

/// A prober, as a child of `pulsetrail up`.
pub(super) struct Prober {
    pub(super) pid: u32,
}

/// The prober of a region.
pub(super) fn prober_of(parent: u32, region: &str) -> Prober {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        let read =
            |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (stat, arguments) = (read("stat"), read("cmdline"));
        // The name in parentheses may hold spaces: the parent is the second field behind it.
        let parent_of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parent_of.and_then(|text| text.parse().ok()) == Some(parent)
            && arguments.split('\0').any(|argument| argument == region)
    };
    let mut found: Vec<u32> = ids.filter(is_it).collect();
    assert_eq!(found.len(), 1, "the prober of {region}");
    Prober { pid: found.remove(0) }
}

impl Prober {
    /// Sends it a signal, such as `-STOP`.
    pub(super) fn signal(&self, signal: &str) {
        let sent =
            std::process::Command::new("kill").args([signal, &self.pid.to_string()]).status();
        assert!(sent.unwrap().success(), "kill {signal} {}", self.pid);
    }
}

/// The target. It answers 200, and 503 to whom it refuses.
pub(super) struct Vantage {
    address: SocketAddr,
    refused: Arc<Mutex<HashSet<u32>>>,
}

impl Vantage {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refused = Arc::<Mutex<HashSet<u32>>>::default();
        let routes = Router::new().fallback(any(answer)).with_state(refused.clone());
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, routes).into_future());
        Self { address, refused }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Fails the given processes from now on, and no others.
    pub(super) fn refuse(&self, pids: &[u32]) {
        *self.refused.lock().unwrap() = pids.iter().copied().collect();
    }
}

async fn answer(
    State(refused): State<Arc<Mutex<HashSet<u32>>>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> StatusCode {
    let refused = refused.lock().unwrap().clone();
    if refused.iter().any(|pid| holds(*pid, peer)) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// Whether a process has the socket of a local address.
fn holds(pid: u32, address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else { return false };
    let ip = u32::from_le_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let inode = sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (*fields.get(1)? == local)
            .then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    });
    let Some(inode) = inode.map(PathBuf::from) else { return false };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|one| fs::read_link(one.path()).ok()).any(|link| link == inode)
}
