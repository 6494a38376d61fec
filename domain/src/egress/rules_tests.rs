use std::net::{IpAddr, SocketAddr};

use super::tests::{Numbers, neighbour};
use super::*;

fn allowing(allow: &[&str]) -> EgressPolicy {
    EgressPolicy { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), own: vec![] }
}

/// Addresses at the edges of every row and every exception, and some at random near them.
fn addresses(policy: &EgressPolicy) -> Vec<IpAddr> {
    let mut numbers = Numbers(11);
    let nets = RANGES.iter().map(|row| row.net).chain(policy.allow.iter().copied());
    let mut found = Vec::new();
    for net in nets {
        let (first, last) = (net.network(), net.broadcast());
        let edges = [Some(first), Some(last), neighbour(first, -1), neighbour(last, 1)];
        for ip in edges.into_iter().flatten() {
            found.push(ip);
            if let IpAddr::V4(ip) = ip {
                let carried = 0x0064_ff9b_u128 << 96 | u128::from(ip.to_bits());
                found.push(std::net::Ipv6Addr::from_bits(carried).into());
            }
        }
    }
    for _ in 0..10_000 {
        let random = numbers.next();
        found.push(std::net::Ipv4Addr::from_bits(random as u32).into());
        let v6 = u128::from(random) << 64 | u128::from(numbers.next() & 0xffff);
        // Half of them in what is allocated.
        let v6 = if random.is_multiple_of(2) { v6 >> 3 | 1 << 125 } else { v6 };
        found.push(std::net::Ipv6Addr::from_bits(v6).into());
    }
    found
}

/// Whether ranges cannot say it: see the module.
fn is_left_to_the_judgement(ip: IpAddr) -> bool {
    let IpAddr::V6(ip) = ip else { return false };
    matches!(embedded_ipv4(ip), Some((Embedding::Isatap | Embedding::Mapped, _)))
}

fn disagreements(policy: &EgressPolicy, ranges: &[AddressRange], openings: &[Opening]) -> usize {
    let asked = addresses(policy).into_iter().filter(|ip| !is_left_to_the_judgement(*ip));
    let wrong = asked.filter(|ip| {
        let accepted = policy.judge(SocketAddr::new(*ip, 443)).is_accepted();
        let refused = ranges.iter().any(|range| {
            range.first.is_ipv4() == ip.is_ipv4() && (range.first..=range.last).contains(ip)
        });
        let opened = openings.iter().any(|opening| {
            opening.net.contains(ip) && !opening.except.iter().any(|net| net.contains(ip))
        });
        accepted == refused || accepted != opened
    });
    wrong.count()
}

#[test]
fn the_rules_say_what_the_judgement_says() {
    for allow in [
        &[][..],
        &["127.0.0.0/8", "::1/128"],
        &["10.0.0.0/8", "10.2.0.0/16", "169.254.169.254/32", "fd00::/8", "64:ff9b::a00:0/104"],
        &["0.0.0.0/0", "::/0"],
        &["0.0.0.0/1", "2001::/16"],
    ] {
        let policy = allowing(allow);
        let (ranges, openings) = (policy.refused_ranges(), policy.openings());
        assert_eq!(disagreements(&policy, &ranges, &openings), 0, "{allow:?}");
    }
    // Positive control: rules of another policy are noticed, and so is one missing range.
    let policy = allowing(&[]);
    let (ranges, openings) = (policy.refused_ranges(), policy.openings());
    let other = allowing(&["10.0.0.0/8"]);
    assert_ne!(disagreements(&other, &ranges, &openings), 0);
    for missing in (0..ranges.len()).step_by(9) {
        let mut ranges = ranges.clone();
        ranges.remove(missing);
        assert_ne!(disagreements(&policy, &ranges, &openings), 0, "{missing}");
    }
}

#[test]
fn ranges_are_in_order_and_do_not_touch() {
    let ranges = allowing(&[]).refused_ranges();
    for pair in ranges.windows(2) {
        let [before, after] = pair else { continue };
        assert!(before.first <= before.last && before.last < after.first, "{before:?} {after:?}");
        assert_ne!(neighbour(before.last, 1), Some(after.first));
    }
    assert_eq!(ranges[0].first, IpAddr::from([0, 0, 0, 0]));
    assert!(allowing(&["0.0.0.0/0", "::/0"]).refused_ranges().is_empty());
}
