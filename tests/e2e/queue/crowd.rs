//! A target that counts who is there at the same time.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A target at every address of loopback, which lets nobody go before it is told to.
pub(super) struct Crowd {
    address: SocketAddr,
    inside: Arc<Inside>,
}

#[derive(Default)]
struct Inside {
    hosts: Mutex<HashMap<String, Count>>,
    open: CancellationToken,
}

#[derive(Clone, Copy, Default)]
struct Count {
    now: usize,
    most: usize,
    ever: usize,
}

/// All hosts together have the name of none.
const ALL: &str = "";

impl Crowd {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inside = Arc::<Inside>::default();
        let routes = Router::new().fallback(any(answer)).with_state(Arc::clone(&inside));
        tokio::spawn(axum::serve(listener, routes).into_future());
        Self { address, inside }
    }

    /// One of its hosts.
    pub(super) fn url(&self, host: u8) -> String {
        self.url_at(Ipv4Addr::new(127, 0, 2, host))
    }

    /// The one at this address of loopback.
    pub(super) fn url_at(&self, address: Ipv4Addr) -> String {
        format!("http://{address}:{}/", self.address.port())
    }

    /// How many are there now.
    pub(super) fn now(&self) -> usize {
        self.count().now
    }

    /// The most that were there at once.
    pub(super) fn most(&self) -> usize {
        self.count().most
    }

    /// How many have come.
    pub(super) fn ever(&self) -> usize {
        self.count().ever
    }

    /// Lets everybody go, and whoever comes from now on.
    pub(super) fn open(&self) {
        self.inside.open.cancel();
    }

    fn count(&self) -> Count {
        self.inside.hosts.lock().unwrap().get(ALL).copied().unwrap_or_default()
    }

    /// The most that were at one host at once.
    pub(super) fn most_at_a_host(&self) -> usize {
        let hosts = self.inside.hosts.lock().unwrap();
        let single = hosts.iter().filter(|(host, _)| *host != ALL);
        single.map(|(_, count)| count.most).max().unwrap_or_default()
    }
}

async fn answer(State(inside): State<Arc<Inside>>, headers: HeaderMap) -> &'static str {
    let host = headers[header::HOST].to_str().unwrap().to_owned();
    for name in [ALL, &host] {
        let mut hosts = inside.hosts.lock().unwrap();
        let count = hosts.entry(name.to_owned()).or_default();
        count.now += 1;
        count.ever += 1;
        count.most = count.most.max(count.now);
    }
    inside.open.cancelled().await;
    for name in [ALL, &host] {
        inside.hosts.lock().unwrap().entry(name.to_owned()).or_default().now -= 1;
    }
    "up"
}
