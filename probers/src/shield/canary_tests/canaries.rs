//! Listeners that nobody may ever reach, and one that everybody may.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::Shield;

/// An address of loopback that the shield of these tests lets through.
pub(super) const GOOD: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// Canaries on every address of this machine that the table refuses, all at one port, with a target that
/// answers HTTP at [`GOOD`] and that port.
pub(super) struct Canaries {
    pub(super) port: u16,
    pub(super) addresses: Vec<IpAddr>,
    hits: Arc<AtomicUsize>,
}

impl Canaries {
    pub(super) async fn listen() -> Self {
        let strict = Shield::new(vec![], vec![]).unwrap();
        let refused = |ip: &IpAddr| !strict.judge(SocketAddr::new(*ip, 80)).is_accepted();
        let addresses: Vec<IpAddr> = local_addresses().into_iter().filter(refused).collect();
        loop {
            let good = TcpListener::bind((GOOD, 0)).await.unwrap();
            let port = good.local_addr().unwrap().port();
            let mut listeners = Vec::new();
            for ip in &addresses {
                listeners.extend(TcpListener::bind((*ip, port)).await);
            }
            // Another program may have the port on one of the addresses.
            if listeners.len() < addresses.len() {
                continue;
            }
            tokio::spawn(serve(good));
            let hits = Arc::new(AtomicUsize::new(0));
            for listener in listeners {
                tokio::spawn(count(listener, Arc::clone(&hits)));
            }
            return Self { port, addresses, hits };
        }
    }

    /// How many connections reached a canary until now. Connections are accepted in their order, so
    /// after one of our own to each canary has been counted, all before it were.
    pub(super) async fn hits(&self) -> usize {
        for ip in &self.addresses {
            let mut stream = TcpStream::connect((*ip, self.port)).await.unwrap();
            // It is closed after it was counted.
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        }
        self.hits.fetch_sub(self.addresses.len(), Ordering::SeqCst);
        self.hits.load(Ordering::SeqCst)
    }
}

async fn count(listener: TcpListener, hits: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        hits.fetch_add(1, Ordering::SeqCst);
        drop(stream);
    }
}

async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                // Who only wanted to connect is gone by now.
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            }
        });
    }
}

/// Every address of this machine, as the kernel lists them; link-local ones need a zone and are left
/// out.
fn local_addresses() -> Vec<IpAddr> {
    let mut found = vec![IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let routes = std::fs::read_to_string("/proc/net/fib_trie").unwrap();
    let mut address = None;
    for line in routes.lines().map(str::trim) {
        if let Some(ip) = line.strip_prefix("|-- ") {
            address = ip.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(address.map(IpAddr::from));
        }
    }
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    for line in interfaces.lines() {
        let bits = line.split_whitespace().next();
        let bits = bits.and_then(|bits| u128::from_str_radix(bits, 16).ok());
        let ip = bits.map(Ipv6Addr::from_bits).filter(|ip| !ip.is_unicast_link_local());
        found.extend(ip.map(IpAddr::from));
    }
    found.sort_unstable();
    found.dedup();
    found.retain(|ip| std::net::TcpListener::bind((*ip, 0)).is_ok());
    found
}
