//! `shield_judge_ns`: judging one address.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use pulsetrail_domain::egress::{EgressPolicy, RANGES};

use crate::table::{Row, Table};

const ADDRESSES: usize = 10_000;
const ROUNDS: usize = 50;

/// Measures the judgement of addresses as names lead to them: most global, some at the edge of each row.
pub(crate) fn measure(table: &mut Table) {
    let policy = EgressPolicy::default();
    let edges = RANGES.iter().map(|row| row.net.network());
    let global = (0_u32..).flat_map(|number| {
        let v4 = Ipv4Addr::from_bits(8 << 24 | number.wrapping_mul(2_654_435_761) >> 8);
        let v6 = Ipv6Addr::from_bits(0x2a00_u128 << 112 | u128::from(number) << 64 | 1);
        [IpAddr::from(v4), v6.into()]
    });
    let addresses: Vec<SocketAddr> =
        edges.chain(global).take(ADDRESSES).map(|ip| SocketAddr::new(ip, 443)).collect();
    let judging = nanoseconds(|| {
        addresses.iter().filter(|address| policy.judge(black_box(**address)).is_accepted()).count()
    });
    // The least that could be done: every row is looked at once.
    let scanning = nanoseconds(|| {
        let rows_of = |ip: IpAddr| RANGES.iter().filter(|row| row.net.contains(&ip)).count();
        addresses.iter().map(|address| rows_of(black_box(address.ip()))).sum()
    });
    table.push(Row {
        name: "shield_judge_ns".to_owned(),
        value: judging,
        unit: "ns",
        reference: "one look at every row of the table".to_owned(),
        reference_value: scanning,
    });
}

/// How long one address takes, in the best of several rounds.
fn nanoseconds(work: impl Fn() -> usize) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed().as_nanos() as f64 / ADDRESSES as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
