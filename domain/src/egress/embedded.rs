//! IPv6 addresses that carry an IPv4 address, and so may lead to it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// How an IPv6 address carries an IPv4 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedding {
    /// `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2): the same destination, written otherwise.
    Mapped,
    /// `::a.b.c.d` (RFC 4291, section 2.5.5.1).
    Compatible,
    /// `::ffff:0:a.b.c.d` (RFC 2765, section 2.1).
    Translated,
    /// `64:ff9b::a.b.c.d` (RFC 6052).
    Nat64,
    /// Under `64:ff9b:1::/48` in its last 32 bits (RFC 8215).
    Nat64Local,
    /// `2002:aabb:ccdd::/48` (RFC 3056).
    SixToFour,
    /// Under `2001::/32`, inverted in the last 32 bits (RFC 4380, section 4).
    Teredo,
    /// An interface identifier `[02]00:5efe:a.b.c.d` (RFC 5214, section 6.1).
    Isatap,
}

/// The IPv4 address that an IPv6 address carries.
#[must_use]
pub fn embedded_ipv4(address: Ipv6Addr) -> Option<(Embedding, Ipv4Addr)> {
    let bits = address.to_bits();
    // Each takes 32 bits out of the 128: nothing is lost.
    let last = Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32);
    let found = match bits >> 32 {
        0x0000_ffff => (Embedding::Mapped, last),
        0 => (Embedding::Compatible, last),
        0xffff_0000 => (Embedding::Translated, last),
        0x0064_ff9b_0000_0000_0000_0000 => (Embedding::Nat64, last),
        high if high >> 48 == 0x0064_ff9b_0001 => (Embedding::Nat64Local, last),
        high if high >> 80 == 0x2002 => {
            (Embedding::SixToFour, Ipv4Addr::from_bits(((bits >> 80) & 0xffff_ffff) as u32))
        }
        high if high >> 64 == 0x2001_0000 => {
            (Embedding::Teredo, Ipv4Addr::from_bits(!last.to_bits()))
        }
        // The two lowest bits of the identifier's first octet say how unique it is.
        high if high & 0xfcff_ffff == 0x0000_5efe => (Embedding::Isatap, last),
        _ => return None,
    };
    Some(found)
}
