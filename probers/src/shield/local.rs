//! Which addresses are this machine's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Whether packets to an address stay on this machine.
///
/// The kernel is asked which address it would send from: to one of its own it sends from that very
/// address. Nothing is sent by connecting a UDP socket, and interfaces may come and go.
pub(super) fn is_local(address: IpAddr) -> bool {
    if address.is_loopback() {
        return true;
    }
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // The port means nothing here: 9 is that of the discard protocol (RFC 863).
    let source = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(address, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machines_own_addresses_are_local() {
        assert!(is_local(Ipv4Addr::LOCALHOST.into()));
        assert!(is_local("127.1.2.3".parse().unwrap()));
        assert!(!is_local("198.51.100.77".parse().unwrap()));
    }
}
