use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::*;
use crate::monitor::TargetUrl;

fn policy(allow: &[&str], own: &[&str]) -> EgressPolicy {
    EgressPolicy {
        allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        own: own.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

fn judge(ip: impl Into<IpAddr>) -> Verdict {
    EgressPolicy::default().judge(SocketAddr::new(ip.into(), 443))
}

fn refused_by(ip: &str) -> Option<String> {
    judge(ip.parse::<IpAddr>().unwrap()).refused_range()
}

/// First and last address of a range.
fn ends(net: IpNet) -> (IpAddr, IpAddr) {
    (net.network(), net.broadcast())
}

pub(super) fn neighbour(ip: IpAddr, step: i32) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            ip.to_bits().checked_add_signed(step).map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(ip) => ip
            .to_bits()
            .checked_add_signed(i128::from(step))
            .map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Whether the table alone, read row by row, lets an address through.
fn table_says_reachable(ip: IpAddr) -> bool {
    let mut rows: Vec<&Range> = RANGES.iter().filter(|row| row.net.contains(&ip)).collect();
    rows.sort_by_key(|row| row.net.prefix_len());
    rows.last().is_none_or(|row| row.reachable)
}

#[test]
fn every_row_begins_and_ends_where_it_says() {
    for row in RANGES {
        assert_eq!(row.net, row.net.trunc(), "{} has host bits", row.net);
        let (first, last) = ends(row.net);
        for ip in [Some(first), Some(last), neighbour(first, -1), neighbour(last, 1)] {
            let Some(ip) = ip else { continue };
            let carried = match ip {
                IpAddr::V6(ip) => embedded_ipv4(ip).map(|(_, v4)| IpAddr::V4(v4)),
                IpAddr::V4(_) => None,
            };
            let expected = table_says_reachable(ip) && carried.is_none_or(table_says_reachable);
            assert_eq!(judge(ip).is_accepted(), expected, "{ip}, at the edge of {}", row.net);
        }
    }
}

#[test]
fn the_edges_of_ranges_are_where_their_registries_put_them() {
    // Refused, and let through on the other side: written out, independent of the table.
    let edges = [
        ("0.255.255.255", "1.0.0.0"),
        ("10.0.0.0", "9.255.255.255"),
        ("10.255.255.255", "11.0.0.0"),
        ("100.64.0.0", "100.63.255.255"),
        ("100.127.255.255", "100.128.0.0"),
        ("127.0.0.0", "126.255.255.255"),
        ("127.255.255.255", "128.0.0.0"),
        ("169.254.0.0", "169.253.255.255"),
        ("169.254.255.255", "169.255.0.0"),
        ("172.16.0.0", "172.15.255.255"),
        ("172.31.255.255", "172.32.0.0"),
        ("192.0.0.0", "191.255.255.255"),
        ("192.0.0.8", "192.0.0.9"),
        ("192.0.0.11", "192.0.0.10"),
        ("192.0.0.255", "192.0.1.0"),
        ("192.0.2.0", "192.0.1.255"),
        ("192.0.2.255", "192.0.3.0"),
        ("192.88.99.0", "192.88.98.255"),
        ("192.88.99.255", "192.88.100.0"),
        ("192.168.0.0", "192.167.255.255"),
        ("192.168.255.255", "192.169.0.0"),
        ("198.18.0.0", "198.17.255.255"),
        ("198.19.255.255", "198.20.0.0"),
        ("198.51.100.0", "198.51.99.255"),
        ("198.51.100.255", "198.51.101.0"),
        ("203.0.113.0", "203.0.112.255"),
        ("203.0.113.255", "203.0.114.0"),
        ("224.0.0.0", "223.255.255.255"),
        ("168.63.129.16", "168.63.129.15"),
        ("168.63.129.16", "168.63.129.17"),
        ("2001::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
        ("2001:1::", "2001:1::1"),
        ("2001:1::4", "2001:1::3"),
        ("2001:2:ffff:ffff:ffff:ffff:ffff:ffff", "2001:3::"),
        ("2001:4::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:4:113::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
        ("2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", "2001:20::"),
        ("2001:40::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
        ("2002::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
        ("3fff::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
        ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
        ("4000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    for (refused, through) in edges {
        assert!(refused_by(refused).is_some(), "{refused} was let through");
        assert_eq!(refused_by(through), None, "{through} was refused");
    }
}

#[test]
fn what_is_refused_is_named_by_its_most_specific_range() {
    let cases = [
        ("0.0.0.0", "0.0.0.0/8"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("169.254.169.254", "169.254.169.254/32"),
        ("169.254.169.253", "169.254.0.0/16"),
        ("168.63.129.16", "168.63.129.16/32"),
        ("240.0.0.1", "240.0.0.0/4"),
        ("255.255.255.255", "255.255.255.255/32"),
        ("239.255.255.255", "224.0.0.0/4"),
        ("::", "::/128"),
        ("::1", "::1/128"),
        ("fd00:ec2::254", "fd00:ec2::254/128"),
        ("fd12::1", "fc00::/7"),
        ("fe80::1", "fe80::/10"),
        ("fec0::1", "fec0::/10"),
        ("feff::1", "fec0::/10"),
        ("ff02::1", "ff00::/8"),
        ("100::1", "100::/64"),
        ("100:0:0:1::1", "100:0:0:1::/64"),
        ("5f00::1", "5f00::/16"),
        ("4000::1", "::/0"),
        ("2001:10::1", "2001:10::/28"),
        ("2001:2::1", "2001:2::/48"),
    ];
    for (ip, range) in cases {
        assert_eq!(refused_by(ip).as_deref(), Some(range), "{ip}");
    }
}

#[test]
fn an_ipv6_address_that_carries_a_refused_ipv4_one_is_refused() {
    // 10.1.2.3 and 169.254.169.254 in every form there is.
    let forms = [
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("::ffff:169.254.169.254", "169.254.169.254/32"),
        ("::10.1.2.3", "::/96"),
        ("::ffff:0:10.1.2.3", "::ffff:0:0:0/96"),
        ("64:ff9b::10.1.2.3", "10.0.0.0/8"),
        ("64:ff9b::a9fe:a9fe", "169.254.169.254/32"),
        ("64:ff9b:1::10.1.2.3", "64:ff9b:1::/48"),
        ("2002:a01:203::1", "2002::/16"),
        ("2001:0:808:808::f5fe:fdfc", "2001::/32"),
        ("2a00:1450::5efe:10.1.2.3", "10.0.0.0/8"),
        ("2a00:1450::200:5efe:169.254.169.254", "169.254.169.254/32"),
    ];
    for (ip, range) in forms {
        assert_eq!(refused_by(ip).as_deref(), Some(range), "{ip}");
    }
    // Positive control: the forms of a global address that may be dialled.
    for ip in ["64:ff9b::8.8.8.8", "2a00:1450::5efe:8.8.8.8"] {
        assert_eq!(refused_by(ip), None, "{ip}");
    }
}

#[test]
fn every_embedding_is_read() {
    let expected = Ipv4Addr::new(10, 1, 2, 3);
    let forms = [
        ("::ffff:10.1.2.3", Embedding::Mapped),
        ("::10.1.2.3", Embedding::Compatible),
        ("::ffff:0:10.1.2.3", Embedding::Translated),
        ("64:ff9b::10.1.2.3", Embedding::Nat64),
        ("64:ff9b:1:7::10.1.2.3", Embedding::Nat64Local),
        ("2002:a01:203::1", Embedding::SixToFour),
        ("2001:0:808:808::f5fe:fdfc", Embedding::Teredo),
        ("2a00::5efe:10.1.2.3", Embedding::Isatap),
        ("2a00::200:5efe:10.1.2.3", Embedding::Isatap),
    ];
    for (ip, how) in forms {
        assert_eq!(embedded_ipv4(ip.parse().unwrap()), Some((how, expected)), "{ip}");
    }
    assert_eq!(embedded_ipv4("2a00:1450::1".parse().unwrap()), None);
}

/// A generator of numbers that are the same in every run (`SplitMix64`).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn ten_thousand_random_global_addresses_are_let_through() {
    let mut numbers = Numbers(7);
    // Blocks handed to regional registries; none of them holds a special range.
    let blocks_v4 = [8_u8, 23, 31, 45, 62, 80, 93, 104, 142, 151, 185, 193, 199, 212, 217];
    let blocks_v6 = [0x2400_u16, 0x2600, 0x2800, 0x2a00, 0x2c00, 0x2606, 0x2a03];
    for turn in 0..10_000_usize {
        let random = numbers.next();
        let ip: IpAddr = if turn % 2 == 0 {
            let first = u32::from(blocks_v4[turn / 2 % blocks_v4.len()]);
            Ipv4Addr::from_bits(first << 24 | (random as u32 & 0x00ff_ffff)).into()
        } else {
            let first = u128::from(blocks_v6[turn / 2 % blocks_v6.len()]);
            Ipv6Addr::from_bits(first << 112 | u128::from(random) << 40 | 0x1_0000).into()
        };
        assert!(judge(ip).is_accepted(), "{}", judge(ip));
    }
}

#[test]
fn an_allowed_range_opens_itself_and_nothing_else() {
    let policy = policy(&["127.0.0.0/8", "fd12::/16"], &[]);
    let accepted = |address: &str| policy.judge(address.parse().unwrap()).is_accepted();
    assert!(accepted("127.0.0.1:80") && accepted("127.255.255.255:80"));
    assert!(accepted("[::ffff:127.0.0.1]:80") && accepted("[fd12::1]:80"));
    for refused in ["10.0.0.1:80", "[::1]:80", "[fd13::1]:80", "[64:ff9b::127.0.0.1]:80"] {
        assert!(!accepted(refused), "{refused}");
    }
    let mapped = policy.judge("[::ffff:127.0.0.1]:80".parse().unwrap());
    assert_eq!(mapped.address, "127.0.0.1:80".parse().unwrap(), "dialled as what it is");
}

#[test]
fn what_is_pulsetrails_own_is_refused_whatever_is_allowed() {
    let policy = policy(&["0.0.0.0/0", "::/0"], &["127.0.0.1:8080", "0.0.0.0:9092", "[::1]:5432"]);
    let own = |address: &str| policy.judge(address.parse().unwrap()).ruling == Ruling::RefusedOwn;
    for address in [
        "127.0.0.1:8080",
        "[::ffff:127.0.0.1]:8080",
        "[64:ff9b::127.0.0.1]:8080",
        "0.0.0.0:8080",
        "[::]:5432",
        "127.0.0.1:9092",
        "127.9.9.9:9092",
        "[::1]:9092",
        "0.0.0.0:9092",
        "[::]:9092",
    ] {
        assert!(own(address), "{address}");
    }
    for address in ["127.0.0.1:8081", "127.0.0.2:8080", "8.8.8.8:9092", "[::1]:8080"] {
        assert!(!own(address), "{address}");
    }
    let here: IpAddr = "192.0.2.7".parse().unwrap();
    let verdict = policy.judge_knowing(SocketAddr::new(here, 9_092), |ip| ip == here);
    assert_eq!(verdict.refused_range().as_deref(), Some(OWN_RANGE));
}

#[test]
fn a_literal_is_judged_in_every_way_of_writing_it() {
    let judge = |url: &str| {
        let url = TargetUrl::try_from(url.to_owned()).unwrap();
        EgressPolicy::default().judge_literal(&url)
    };
    for url in [
        "http://127.0.0.1",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.0.0.1",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://017700000001",
        "http://127.0.0.1.",
        "http://%31%32%37.0.0.1",
        "http://１２７。０。０。１",
        "http://[::ffff:7f00:1]",
        "http://[0:0:0:0:0:ffff:127.0.0.1]",
    ] {
        let verdict = judge(url).unwrap_or_else(|| panic!("{url} was taken for a name"));
        assert_eq!(verdict.refused_range().as_deref(), Some("127.0.0.0/8"), "{url}");
    }
    assert_eq!(judge("https://example.com"), None);
    assert!(judge("https://8.8.8.8").unwrap().is_accepted());
}
