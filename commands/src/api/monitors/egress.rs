//! Whether a target may be dialled, as far as that can be said without asking DNS. The prober judges
//! again, with the addresses that the name leads to when it dials.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use pulsetrail_domain::egress::{EgressPolicy, Verdict};
use pulsetrail_domain::monitor::Target;

/// Why the target may not be dialled; none where it may, or where only DNS can tell.
pub(super) fn refusal(policy: &EgressPolicy, target: &Target) -> Option<Verdict> {
    let Target::Http(http) = target;
    if let Some(verdict) = policy.judge_literal(&http.url) {
        return (!verdict.is_accepted()).then_some(verdict);
    }
    let url = http.url.url();
    let port = url.port_or_known_default()?;
    if !names_this_machine(url.domain()?) {
        return None;
    }
    // Either address may be dialled: it is refused where both are.
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let verdicts = loopback.map(|ip| policy.judge(SocketAddr::new(ip, port)));
    let [first, _] = verdicts;
    verdicts.iter().all(|verdict| !verdict.is_accepted()).then_some(first)
}

/// Names that lead to the loopback addresses without DNS (RFC 6761, 6.3).
fn names_this_machine(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::monitor::{HttpTarget, TargetUrl};

    use super::*;

    fn refused(policy: &EgressPolicy, url: &str) -> bool {
        let url = TargetUrl::try_from(url.to_owned()).unwrap();
        refusal(policy, &Target::Http(HttpTarget::get(url))).is_some()
    }

    #[test]
    fn localhost_is_the_loopback_address() {
        let strict = EgressPolicy::default();
        for url in ["http://localhost", "http://LOCALHOST.:81", "https://a.b.localhost"] {
            assert!(refused(&strict, url), "{url}");
        }
        assert!(!refused(&strict, "http://localhost.example.com"));
        assert!(!refused(&strict, "http://notlocalhost"));
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let own = vec!["127.0.0.1:8080".parse().unwrap()];
        let relaxed = EgressPolicy { allow, own };
        assert!(!refused(&relaxed, "http://localhost:9000"));
        assert!(refused(&relaxed, "http://localhost:8080"));
    }
}
