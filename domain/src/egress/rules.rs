//! The table as rules for networks, which know ranges of addresses and nothing else.
//!
//! What the judgement finds inside an address is spelled out: under the NAT64 prefix each refused IPv4
//! range has a range of its own. Two forms are left to the judgement: ISATAP, whose IPv4 address may lie
//! under any prefix, and IPv4-mapped addresses, which never leave a machine as IPv6.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv6Net};

use super::EgressPolicy;
use super::ranges::RANGES;

/// All addresses from the first to the last, both included and of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// The first.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
}

/// A range that is let through but for some inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What is let through.
    pub net: IpNet,
    /// What is not, each inside `net` and none inside another.
    pub except: Vec<IpNet>,
}

impl EgressPolicy {
    /// Every refused address in ranges, IPv4 first, in order and none next to another. Pulsetrail's own
    /// listeners and engines are no ranges and not among them.
    #[must_use]
    pub fn refused_ranges(&self) -> Vec<AddressRange> {
        let table = EgressPolicy { allow: self.allow.clone(), own: Vec::new() };
        let mut ranges: Vec<AddressRange> = Vec::new();
        for (is_v4, starts) in [(true, starts(&table, true)), (false, starts(&table, false))] {
            let ends = starts.iter().skip(1).map(|next| next - 1);
            let last = if is_v4 { u128::from(u32::MAX) } else { u128::MAX };
            let segments = starts.iter().zip(ends.chain([last]));
            // Nothing begins or ends inside a segment: its first address speaks for all of it.
            let refused = segments.filter(|(first, _)| {
                !table
                    .judge_knowing(SocketAddr::new(ip(is_v4, **first), 0), |_| false)
                    .is_accepted()
            });
            let mut open: Option<(u128, u128)> = None;
            for (first, last) in refused {
                open = match open {
                    Some((begun, before)) if before.checked_add(1) == Some(*first) => {
                        Some((begun, last))
                    }
                    Some((begun, before)) => {
                        ranges.push(range(is_v4, begun, before));
                        Some((*first, last))
                    }
                    None => Some((*first, last)),
                };
            }
            ranges.extend(open.map(|(first, last)| range(is_v4, first, last)));
        }
        ranges
    }

    /// Every address that is let through, as ranges with exceptions.
    #[must_use]
    pub fn openings(&self) -> Vec<Opening> {
        let rows = self.effective_rows();
        let parent = |net: &IpNet| {
            let around = rows.iter().filter(|(row, _)| row != net && row.contains(net));
            around.max_by_key(|(row, _)| row.prefix_len())
        };
        // The range that lets `net` through, going up as long as ranges let through.
        let opening_of = |net: &IpNet| {
            let mut opening = *net;
            while let Some((around, true)) = parent(&opening) {
                opening = *around;
            }
            opening
        };
        let begins = |(net, reachable): &&(IpNet, bool)| {
            *reachable && !matches!(parent(net), Some((_, true)))
        };
        let openings = rows.iter().filter(begins).map(|(net, _)| {
            let inside = rows.iter().filter(|(row, reachable)| {
                !reachable
                    && matches!(parent(row), Some((around, true)) if opening_of(around) == *net)
            });
            Opening { net: *net, except: inside.map(|(row, _)| *row).collect() }
        });
        openings.collect()
    }

    /// The rows that decide, with the exceptions of the installation among them: what is allowed is so
    /// whatever smaller ranges inside it are.
    fn effective_rows(&self) -> Vec<(IpNet, bool)> {
        let everything = (IpNet::V4(ipnet::Ipv4Net::default()), true);
        let table = RANGES.iter().map(|row| (row.net, row.reachable));
        let carried = RANGES.iter().filter_map(|row| Some((translated(row.net)?, row.reachable)));
        let is_allowed = |net: &IpNet| self.allow.iter().any(|allowed| allowed.contains(net));
        let mut rows: Vec<(IpNet, bool)> = [everything]
            .into_iter()
            .chain(table)
            .chain(carried)
            .filter(|(net, _)| !is_allowed(net))
            .chain(self.allow.iter().map(|net| (net.trunc(), true)))
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

/// Where a segment of addresses with one answer can begin: where a row does, or right after one.
fn starts(policy: &EgressPolicy, v4: bool) -> BTreeSet<u128> {
    let rows = policy.effective_rows().into_iter().map(|(net, _)| net);
    let edges = rows.filter(|net| matches!(net, IpNet::V4(_)) == v4).flat_map(|net| {
        let after = bits(net.broadcast()).checked_add(1);
        [Some(bits(net.network())), after]
    });
    let end = if v4 { u128::from(u32::MAX) } else { u128::MAX };
    [Some(0)].into_iter().chain(edges).flatten().filter(|start| *start <= end).collect()
}

/// An IPv4 range under the NAT64 prefix (RFC 6052).
fn translated(net: IpNet) -> Option<IpNet> {
    let IpNet::V4(net) = net else { return None };
    let address = Ipv6Addr::from_bits(0x0064_ff9b << 96 | u128::from(net.network().to_bits()));
    Ipv6Net::new(address, 96 + net.prefix_len()).ok().map(IpNet::V6)
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn ip(v4: bool, bits: u128) -> IpAddr {
    // What counts as IPv4 came from 32 bits.
    if v4 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
}

fn range(v4: bool, first: u128, last: u128) -> AddressRange {
    AddressRange { first: ip(v4, first), last: ip(v4, last) }
}
