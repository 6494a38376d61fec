//! The table for nftables (nft(8)).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets};
use pulsetrail_domain::egress::{AddressRange, EgressPolicy};

/// A table `inet pulsetrail_egress`, whose chain refuses what leaves the machine for a refused address.
pub(super) fn render(policy: &EgressPolicy, pass: &[IpNet]) -> String {
    let ranges = policy.refused_ranges();
    let of = |v4: bool| ranges.iter().filter(move |range| range.first.is_ipv4() == v4);
    let mut text = String::from(
        "# The shield's table for nftables: where a prober may not connect to.\n\
         # Load it with `nft -f`, where nothing but a prober runs.\n\
         table inet pulsetrail_egress\n\
         delete table inet pulsetrail_egress\n\
         table inet pulsetrail_egress {\n",
    );
    set(&mut text, "refused4", "ipv4_addr", of(true));
    set(&mut text, "refused6", "ipv6_addr", of(false));
    text.push_str(
        "\tchain output {\n\t\ttype filter hook output priority filter; policy accept;\n",
    );
    // Writing to a text does not fail.
    for own in &policy.own {
        let family = if own.is_ipv4() { "ip" } else { "ip6" };
        let to = match own.ip() {
            ip if ip.is_unspecified() => String::from("fib daddr type local"),
            ip => format!("{family} daddr {ip}"),
        };
        let _ = writeln!(text, "\t\t{to} tcp dport {} reject  # Pulsetrail's own", own.port());
    }
    for net in pass {
        let family = if matches!(net, IpNet::V4(_)) { "ip" } else { "ip6" };
        let _ = writeln!(text, "\t\t{family} daddr {net} accept  # what the prober needs itself");
    }
    text.push_str(
        "\t\tip daddr @refused4 counter reject\n\t\tip6 daddr @refused6 counter reject\n",
    );
    text.push_str("\t\t# ISATAP (RFC 5214): an IPv4 address under any prefix.\n");
    for range in of(true) {
        for (mask, value) in isatap(range) {
            let _ = writeln!(text, "\t\tip6 daddr & {mask} == {value} counter reject");
        }
    }
    text.push_str("\t}\n}\n");
    text
}

fn set<'a>(
    text: &mut String,
    name: &str,
    of: &str,
    ranges: impl Iterator<Item = &'a AddressRange>,
) {
    let elements: Vec<String> =
        ranges
            .map(|AddressRange { first, last }| {
                if first == last {
                    format!("\t\t\t{first}")
                } else {
                    format!("\t\t\t{first}-{last}")
                }
            })
            .collect();
    let _ = writeln!(text, "\tset {name} {{\n\t\ttype {of}\n\t\tflags interval");
    // A set without elements is written without the word.
    if !elements.is_empty() {
        let _ = writeln!(text, "\t\telements = {{\n{}\n\t\t}}", elements.join(",\n"));
    }
    text.push_str("\t}\n");
}

/// An interface identifier `[02]00:5efe` with an address of the range: which bits count, and what they
/// are.
fn isatap(range: &AddressRange) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let (IpAddr::V4(first), IpAddr::V4(last)) = (range.first, range.last) else {
        return Vec::new();
    };
    let within =
        |high: u128, low: Ipv4Addr| Ipv6Addr::from_bits(high << 32 | u128::from(low.to_bits()));
    Ipv4Subnets::new(first, last, 0)
        .map(|net| (within(0xfcff_ffff, net.netmask()), within(0x5efe, net.network())))
        .collect()
}
