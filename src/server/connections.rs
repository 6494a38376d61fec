//! How many connections a server has open: in all, and from one address. Below the limit of open files, so
//! that the process can always accept one more, and no address takes the places of all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use pulsetrail_infra::http::client_network;
use pulsetrail_infra::open_files;
use pulsetrail_infra::settings::Settings;

/// How many connections there may be at once.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// In all.
    pub(super) total: usize,
    /// From one address: an IPv4 address, or the /64 that an IPv6 one is in.
    pub(super) per_address: usize,
    /// From an address that many clients share: a trusted proxy, and this machine's own.
    pub(super) per_shared_address: usize,
    /// The trusted proxies.
    pub(super) proxies: Vec<IpNet>,
}

impl ConnectionLimits {
    /// Three quarters of the files that this process may open, whose limit is raised first. The rest is
    /// for engines and logs. A shared address leaves an eighth of that to all others.
    pub(crate) fn of(settings: &Settings) -> Self {
        let open_files = usize::try_from(open_files::raise_limit()).unwrap_or(usize::MAX);
        let per_address = usize::try_from(settings.connections_per_address.get());
        Self::within(
            open_files,
            per_address.unwrap_or(usize::MAX),
            settings.ingress.trusted_proxies.clone(),
        )
    }

    fn within(open_files: usize, per_address: usize, proxies: Vec<IpNet>) -> Self {
        let total = open_files / 4 * 3;
        let per_shared_address = total - total / 8;
        let per_address = per_address.min(per_shared_address);
        Self { total, per_address, per_shared_address, proxies }
    }

    fn of_address(&self, address: IpAddr) -> usize {
        let is_shared =
            address.is_loopback() || self.proxies.iter().any(|network| network.contains(&address));
        if is_shared { self.per_shared_address } else { self.per_address }
    }
}

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

/// Why a connection is not taken. As a label of a metric it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The address has as many as it may.
    Address,
    /// The server has as many as it may.
    Server,
}

impl Full {
    /// Its name as a label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Server => "server",
        }
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// A place for one more connection from `peer`.
    ///
    /// # Errors
    /// Which limit was reached.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Full> {
        let address = client_network(peer);
        let most = self.limits.of_address(peer.to_canonical());
        let mut guard = self.open();
        let open = &mut *guard;
        if open.total >= self.limits.total {
            return Err(Full::Server);
        }
        let from_there = open.by_address.entry(address).or_default();
        if *from_there >= most {
            return Err(Full::Address);
        }
        *from_there += 1;
        open.total += 1;
        Ok(Place { connections: self.clone(), address })
    }

    /// How many are open.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open().total
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing that is done under the lock leaves it half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.total -= 1;
        if let Some(from_there) = open.by_address.get_mut(&self.address) {
            *from_there -= 1;
            if *from_there == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(open_files: usize, per_address: usize) -> Arc<Connections> {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Connections::new(ConnectionLimits::within(open_files, per_address, proxies))
    }

    /// How many of 1,000 connections from an address are taken, and why the next one is not.
    fn taken(connections: &Arc<Connections>, peer: &str) -> (Vec<Place>, Option<Full>) {
        let mut places = Vec::new();
        for _ in 0..1_000 {
            match connections.admit(peer.parse().unwrap()) {
                Ok(place) => places.push(place),
                Err(full) => return (places, Some(full)),
            }
        }
        (places, None)
    }

    #[test]
    fn an_address_has_its_share_and_a_place_that_is_given_back_is_free() {
        let connections = connections(160, 10);
        for peer in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            let (places, full) = taken(&connections, peer);
            assert_eq!((places.len(), full), (10, Some(Full::Address)), "{peer}");
        }
        let (_held, _) = taken(&connections, "2001:db8::1");
        assert_eq!(connections.admit("2001:db8::2".parse().unwrap()).unwrap_err(), Full::Address);
        assert!(connections.admit("2001:db8:0:1::2".parse().unwrap()).is_ok(), "another network");
        assert_eq!(connections.open().by_address.len(), 1, "addresses are forgotten");
    }

    #[test]
    fn an_address_that_many_share_leaves_room_for_others_below_the_limit_of_open_files() {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3"] {
            let connections = connections(160, 10);
            let (places, full) = taken(&connections, peer);
            assert_eq!((places.len(), full), (105, Some(Full::Address)), "{peer}");
            let (others, _) = taken(&connections, "192.0.2.1");
            assert_eq!(others.len(), 10);
            let (rest, full) = taken(&connections, "192.0.2.2");
            assert_eq!((rest.len(), full), (5, Some(Full::Server)), "120 of 160 files");
        }
    }
}
