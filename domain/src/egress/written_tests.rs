//! Addresses as URLs write them (WHATWG URL Standard, section 3.5, "host parsing").

use std::net::{IpAddr, Ipv4Addr};

use super::tests::Numbers;
use super::*;
use crate::monitor::TargetUrl;

fn taken(host: &str) -> Option<TargetUrl> {
    TargetUrl::try_from(format!("http://{host}/")).ok()
}

fn address(host: &str) -> Option<IpAddr> {
    let verdict = EgressPolicy::default().judge_literal(&taken(host)?)?;
    Some(verdict.address.ip())
}

/// Each step of the parser, on both sides where it decides.
#[test]
fn every_step_of_the_parsers_is_taken() {
    let addresses = [
        // IPv4: one to four numbers, the last of which fills what is left.
        ("0", "0.0.0.0"),
        ("256", "0.0.1.0"),
        ("4294967295", "255.255.255.255"),
        ("127.1", "127.0.0.1"),
        ("1.16777215", "1.255.255.255"),
        ("1.2.65535", "1.2.255.255"),
        ("1.2.3.255", "1.2.3.255"),
        ("127.0.0.1.", "127.0.0.1"),
        ("1.", "0.0.0.1"),
        // In ten, eight or sixteen, with as many zeros before it as one likes; nothing is 0.
        ("010.0.0.1", "8.0.0.1"),
        ("00000000000000000000000000177.0.0.1", "127.0.0.1"),
        ("0x", "0.0.0.0"),
        ("0X7f.0x.0.0x1", "127.0.0.1"),
        ("0x00000000000000000000007f.1", "127.0.0.1"),
        ("0x7F000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0xa9.0xfea9fe", "169.254.169.254"),
        ("0300.0250.01", "192.168.0.1"),
        // After percent-decoding, and after IDNA has mapped what looks alike.
        ("%30%78%63%30%2e%30%32%35%30.01", "192.168.0.1"),
        ("127%2e0%2e0%2e1", "127.0.0.1"),
        ("１２７．０．０．１", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("127｡0｡0｡1", "127.0.0.1"),
        ("①②⑦.0.0.1", "127.0.0.1"),
        ("𝟏𝟐𝟕.0.0.1", "127.0.0.1"),
        ("0ｘ7ｆ.1", "127.0.0.1"),
        ("12\u{ad}7.0.0.1", "127.0.0.1"),
        ("127.0.0\u{200b}.1", "127.0.0.1"),
        // IPv6: eight pieces, or fewer with one gap; the last two may be an IPv4 address.
        ("[::]", "::"),
        ("[::1]", "::1"),
        ("[1::]", "1::"),
        ("[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8"),
        ("[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7:0"),
        ("[0001:002:03:4::]", "1:2:3:4::"),
        ("[FE80::ABCD]", "fe80::abcd"),
        ("[1:2:3:4:5:6:127.0.0.1]", "1:2:3:4:5:6:7f00:1"),
        ("[64:ff9b::127.0.0.1]", "64:ff9b::7f00:1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[::FFFF:7F00:1]", "::ffff:127.0.0.1"),
    ];
    let wrong = addresses.iter().filter(|(host, expected)| address(host) != expected.parse().ok());
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new());
}

#[test]
fn what_ends_in_a_number_and_is_no_address_is_no_name_either() {
    let hosts = [
        "256.0.0.1",
        "1.2.3.256",
        "1.2.65536",
        "1.16777216",
        "4294967296",
        "0x100000000",
        "040000000000",
        "1.2.3.4.5",
        "1.2.3.4.5.",
        "1..2",
        ".1",
        "09.0.0.1",
        "1.2.3.08",
        "1.2.3.0x4g.5",
        "www.1",
        "www.0x1",
        "www.09",
        "www.example.1",
        "%00127.0.0.1",
        "127.0.0.1%20",
        "[]",
        "[::1",
        "::1]",
        "[:1]",
        "[1:]",
        "[::1::]",
        "[:::]",
        "[12345::]",
        "[g::]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[1:2:3:4:5:6:7:127.0.0.1]",
        "[::127.0.1]",
        "[::127.0.0.256]",
        "[::127.0.0.01]",
        "[::127.0.0.1.]",
        "[::0x7f.0.0.1]",
        "[127.0.0.1]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[%3a%3a1]",
        "[www.example]",
    ];
    let wrong = hosts.iter().filter(|host| taken(host).is_some());
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&&str>::new());
    // What does not end in a number is a name.
    let names =
        ["1.2.3.4.example", "0x7f.example", "127.0.0.1.a", "0xg", "1.2.3.0x4g", "127.0.0.1.."];
    let wrong = names.iter().filter(|name| taken(name).is_none() || address(name).is_some());
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// An address written in one of the many ways there are.
fn written(ip: Ipv4Addr, numbers: &mut Numbers) -> String {
    let mut roll = |sides: u64| numbers.next() % sides;
    let octets = ip.octets();
    let parts = 1 + roll(4) as usize;
    let last = octets[parts - 1..].iter().fold(0_u32, |sum, octet| sum << 8 | u32::from(*octet));
    let values = octets[..parts - 1].iter().map(|octet| u32::from(*octet)).chain([last]);
    let mut texts = Vec::new();
    for value in values {
        let zeros = "0".repeat(roll(3) as usize);
        texts.push(match roll(4) {
            0 => format!("0x{zeros}{value:x}"),
            1 => format!("0X{zeros}{value:X}"),
            2 => format!("0{zeros}{value:o}"),
            _ => value.to_string(),
        });
    }
    let mut text = texts.join(".");
    if roll(4) == 0 {
        text.push('.');
    }
    let how = roll(3);
    let rewritten = text.chars().map(|letter| match roll(3) {
        0 if how == 0 => format!("%{:02x}", u32::from(letter)),
        // The same letters in the block of fullwidth forms.
        0 if how == 1 => {
            char::from_u32(u32::from(letter) + 0xfee0).map(String::from).unwrap_or_default()
        }
        _ => letter.to_string(),
    });
    rewritten.collect()
}

#[test]
fn however_an_address_is_written_it_is_judged_as_itself() {
    let mut numbers = Numbers(11);
    let ranges = [0x7f00_0000_u32, 0x0a00_0000, 0xa9fe_0000, 0xc0a8_0000, 0x0800_0000];
    let mut unseen = 0;
    for turn in 0..20_000_usize {
        let ip = Ipv4Addr::from_bits(ranges[turn % ranges.len()] | numbers.next() as u32 & 0xffff);
        let text = written(ip, &mut numbers);
        let url = taken(&text).unwrap_or_else(|| panic!("{text} is not taken"));
        let verdict = EgressPolicy::default().judge_literal(&url);
        let verdict = verdict.unwrap_or_else(|| panic!("{text} is taken for a name"));
        assert_eq!(verdict.address.ip(), ip, "{text}");
        assert_eq!(verdict.is_accepted(), ip.octets()[0] == 8, "{text}");
        unseen += usize::from(text.parse::<Ipv4Addr>().is_err());
    }
    // Positive control: who reads the text and not the URL sees names in most of them.
    assert!(unseen > 15_000, "{unseen}");
}
