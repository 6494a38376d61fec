use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use pulsetrail_domain::egress::RANGES;
use serde_json::Value;

use super::*;

fn policy() -> EgressPolicy {
    EgressPolicy {
        allow: vec!["10.2.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()],
        own: vec!["127.0.0.1:5432".parse().unwrap(), "[::]:9092".parse().unwrap()],
    }
}

fn edges() -> impl Iterator<Item = IpAddr> {
    let nets = RANGES.iter().map(|row| row.net).chain(policy().allow);
    nets.flat_map(|net| [net.network(), net.broadcast()])
}

fn is_accepted(ip: IpAddr) -> bool {
    EgressPolicy { own: vec![], ..policy() }.judge(SocketAddr::new(ip, 443)).is_accepted()
}

/// Whether a policy for Kubernetes lets an address through at any port.
fn passes(document: &Value, ip: IpAddr) -> bool {
    let targets = document["spec"]["egress"].as_array().unwrap().iter();
    let blocks = targets
        .filter(|rule| rule["ports"].is_null())
        .flat_map(|rule| rule["to"].as_array().unwrap().iter().map(|to| &to["ipBlock"]));
    let holds = |net: &Value| net.as_str().unwrap().parse::<IpNet>().unwrap().contains(&ip);
    blocks.into_iter().any(|block| {
        let except = block["except"].as_array();
        holds(&block["cidr"]) && !except.into_iter().flatten().any(holds)
    })
}

#[test]
fn a_network_policy_says_what_the_table_says() {
    let text = kubernetes::render(&policy(), &[]);
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(document["apiVersion"], "networking.k8s.io/v1");
    assert_eq!(document["kind"], "NetworkPolicy");
    assert_eq!(document["spec"]["policyTypes"], serde_json::json!(["Egress"]));
    for ip in edges() {
        assert_eq!(passes(&document, ip), is_accepted(ip), "{ip}");
    }
    // What Kubernetes demands: each exception lies inside its block.
    for rule in document["spec"]["egress"].as_array().unwrap() {
        for block in rule["to"].as_array().unwrap().iter().map(|to| &to["ipBlock"]) {
            let net = |net: &Value| net.as_str().unwrap().parse::<IpNet>().unwrap();
            for except in block["except"].as_array().into_iter().flatten() {
                let (cidr, except) = (net(&block["cidr"]), net(except));
                assert!(cidr.contains(&except) && cidr != except, "{except} in {cidr}");
            }
        }
    }
    // Positive control: one exception less is noticed.
    let fewer: String = text
        .lines()
        .filter(|line| !line.contains("\"127.0.0.0/8\""))
        .fold(String::new(), |text, line| text + line + "\n");
    let document: Value = serde_saphyr::from_str(&fewer).unwrap();
    assert!(edges().any(|ip| passes(&document, ip) != is_accepted(ip)));
    let passing = kubernetes::render(&policy(), &["10.9.0.0/24".parse().unwrap()]);
    let document: Value = serde_saphyr::from_str(&passing).unwrap();
    assert!(passes(&document, "10.9.0.7".parse().unwrap()));
}

#[test]
fn every_refused_range_is_in_the_rules_for_nftables() {
    let text = nftables::render(&policy(), &["10.9.0.0/24".parse().unwrap()]);
    for range in policy().refused_ranges() {
        let element = format!("\t\t\t{}", range.first);
        assert!(text.contains(&element), "{element}");
    }
    for line in [
        "ip daddr 127.0.0.1 tcp dport 5432 reject",
        "fib daddr type local tcp dport 9092 reject",
        "ip daddr 10.9.0.0/24 accept",
        "ip6 daddr & ::fcff:ffff:ff00:0 == ::5efe:7f00:0 counter reject",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    check_with_nft(&text);
    check_with_nft(&nftables::render(
        &EgressPolicy { allow: vec!["0.0.0.0/0".parse().unwrap()], own: vec![] },
        &[],
    ));
}

/// Has nft read the rules, where it is there and may look at the kernel's.
fn check_with_nft(text: &str) {
    let check = |text: &str| -> Option<bool> {
        let mut nft = Command::new("nft")
            .args(["-c", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        nft.stdin.take()?.write_all(text.as_bytes()).ok()?;
        Some(nft.wait().ok()?.success())
    };
    // Whoever may not even add a table is told so about every set of rules.
    if check("table inet pulsetrail_egress\n") != Some(true) {
        return;
    }
    assert_eq!(check(text), Some(true), "{text}");
    assert_eq!(check(&text.replace("reject\n", "regect\n")), Some(false));
}

#[test]
fn the_table_for_programs_has_every_row_with_its_source() {
    let document: Value = serde_json::from_str(&json::render(&policy())).unwrap();
    let table = document["table"].as_array().unwrap();
    assert_eq!(table.len(), RANGES.len());
    assert!(table.iter().all(|row| row["source"].as_str().is_some_and(|text| !text.is_empty())));
    assert_eq!(document["allowed"][0], "10.2.0.0/16");
    assert_eq!(document["own"][0], "127.0.0.1:5432");
    assert_eq!(document["refused"][0]["first"], "0.0.0.0");
}
