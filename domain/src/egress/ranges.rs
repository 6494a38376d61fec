//! Every range of addresses with a special meaning, as data.
//!
//! The most specific row that holds an address decides. Rows marked [`allowed`] are what a registry
//! calls globally reachable inside a range that is not.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>), the IANA IPv6 address space
//! (<https://www.iana.org/assignments/ipv6-address-space>), the multicast registries, and the
//! documentation of the clouds that keep a metadata service at a fixed address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The range itself.
    pub net: IpNet,
    /// What it is for.
    pub name: &'static str,
    /// Who says so.
    pub source: &'static str,
    /// Whether its addresses may be dialled.
    pub reachable: bool,
}

const fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(address: u128, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(address), prefix))
}

const fn refused(net: IpNet, name: &'static str, source: &'static str) -> Range {
    Range { net, name, source, reachable: false }
}

const fn allowed(net: IpNet, name: &'static str, source: &'static str) -> Range {
    Range { net, name, source, reachable: true }
}

/// The table.
pub const RANGES: &[Range] = &[
    // IPv4, by the special-purpose registry. What no row holds is global.
    refused(v4([0, 0, 0, 0], 8), "this network", "RFC 791, section 3.2"),
    refused(v4([10, 0, 0, 0], 8), "private use", "RFC 1918"),
    refused(v4([100, 64, 0, 0], 10), "shared address space", "RFC 6598"),
    refused(v4([127, 0, 0, 0], 8), "loopback", "RFC 1122, section 3.2.1.3"),
    refused(v4([169, 254, 0, 0], 16), "link-local", "RFC 3927"),
    refused(v4([172, 16, 0, 0], 12), "private use", "RFC 1918"),
    refused(v4([192, 0, 0, 0], 24), "IETF protocol assignments", "RFC 6890, section 2.1"),
    allowed(v4([192, 0, 0, 9], 32), "port control protocol anycast", "RFC 7723"),
    allowed(v4([192, 0, 0, 10], 32), "TURN anycast", "RFC 8155"),
    refused(v4([192, 0, 2, 0], 24), "documentation (TEST-NET-1)", "RFC 5737"),
    refused(v4([192, 88, 99, 0], 24), "deprecated 6to4 relay anycast", "RFC 7526"),
    refused(v4([192, 168, 0, 0], 16), "private use", "RFC 1918"),
    refused(v4([198, 18, 0, 0], 15), "benchmarking", "RFC 2544"),
    refused(v4([198, 51, 100, 0], 24), "documentation (TEST-NET-2)", "RFC 5737"),
    refused(v4([203, 0, 113, 0], 24), "documentation (TEST-NET-3)", "RFC 5737"),
    refused(v4([224, 0, 0, 0], 4), "multicast", "RFC 5771"),
    refused(v4([240, 0, 0, 0], 4), "reserved", "RFC 1112, section 4"),
    refused(v4([255, 255, 255, 255], 32), "limited broadcast", "RFC 919, section 7"),
    // Metadata services of clouds at fixed IPv4 addresses.
    refused(v4([169, 254, 169, 254], 32), "cloud metadata", "AWS, Azure, Google Cloud and others"),
    refused(v4([169, 254, 170, 2], 32), "cloud metadata", "AWS ECS task credentials"),
    refused(v4([168, 63, 129, 16], 32), "cloud platform services", "Azure"),
    refused(v4([100, 100, 100, 200], 32), "cloud metadata", "Alibaba Cloud"),
    refused(v4([192, 0, 0, 192], 32), "cloud metadata", "Oracle Cloud"),
    // IPv6: only 2000::/3 is allocated as global unicast; everything else is refused.
    refused(v6(0, 0), "not allocated as global unicast", "RFC 4291, section 2.4"),
    allowed(v6(0x2000 << 112, 3), "global unicast", "IANA IPv6 address space"),
    refused(v6(0, 128), "unspecified", "RFC 4291, section 2.5.2"),
    refused(v6(1, 128), "loopback", "RFC 4291, section 2.5.3"),
    refused(v6(0, 96), "IPv4-compatible", "RFC 4291, section 2.5.5.1"),
    refused(v6(0xffff << 32, 96), "IPv4-mapped", "RFC 4291, section 2.5.5.2"),
    refused(v6(0xffff << 48, 96), "IPv4-translated", "RFC 2765, section 2.1"),
    allowed(v6(0x0064_ff9b << 96, 96), "IPv4-IPv6 translation", "RFC 6052"),
    refused(v6(0x0064_ff9b_0001 << 80, 48), "local IPv4-IPv6 translation", "RFC 8215"),
    refused(v6(0x0100 << 112, 64), "discard-only", "RFC 6666"),
    refused(v6(0x0100_0000_0000_0001 << 64, 64), "dummy prefix", "RFC 9780"),
    refused(v6(0x2001 << 112, 23), "IETF protocol assignments", "RFC 2928"),
    refused(v6(0x2001 << 112, 32), "Teredo", "RFC 4380"),
    allowed(v6((0x2001_0001 << 96) | 1, 128), "port control protocol anycast", "RFC 7723"),
    allowed(v6((0x2001_0001 << 96) | 2, 128), "TURN anycast", "RFC 8155"),
    allowed(v6((0x2001_0001 << 96) | 3, 128), "DNS-SD registration anycast", "RFC 9665"),
    refused(v6(0x2001_0002 << 96, 48), "benchmarking", "RFC 5180"),
    allowed(v6(0x2001_0003 << 96, 32), "multicast tunnelling", "RFC 7450"),
    allowed(v6(0x2001_0004_0112 << 80, 48), "AS112", "RFC 7535"),
    refused(v6(0x2001_0010 << 96, 28), "deprecated ORCHID", "RFC 4843"),
    allowed(v6(0x2001_0020 << 96, 28), "ORCHIDv2", "RFC 7343"),
    allowed(v6(0x2001_0030 << 96, 28), "drone remote identification", "RFC 9374"),
    refused(v6(0x2001_0db8 << 96, 32), "documentation", "RFC 3849"),
    refused(v6(0x2002 << 112, 16), "6to4", "RFC 3056"),
    refused(v6(0x3fff << 112, 20), "documentation", "RFC 9637"),
    refused(v6(0x5f00 << 112, 16), "segment routing", "RFC 9602"),
    refused(v6(0xfc00 << 112, 7), "unique local", "RFC 4193"),
    refused(v6(0xfe80 << 112, 10), "link-local", "RFC 4291, section 2.5.6"),
    refused(v6(0xfec0 << 112, 10), "deprecated site-local", "RFC 3879"),
    refused(v6(0xff00 << 112, 8), "multicast", "RFC 4291, section 2.7"),
    // Metadata services of clouds at fixed IPv6 addresses.
    refused(v6((0xfd00_0ec2 << 96) | 0x0254, 128), "cloud metadata", "AWS"),
    refused(v6((0xfd20_00ce << 96) | 0x0254, 128), "cloud metadata", "Google Cloud"),
];

/// The most specific row that holds an address. IPv4 that no row holds is global.
#[must_use]
pub fn most_specific(address: IpAddr) -> Option<&'static Range> {
    RANGES
        .iter()
        .filter(|range| range.net.contains(&address))
        .max_by_key(|range| range.net.prefix_len())
}
