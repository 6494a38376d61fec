//! Whether a target may be dialled, as far as that can be said without asking DNS. The prober judges
//! again, with the addresses that the name leads to when it dials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pulsetrail_domain::egress::{EgressEvent, EgressOrigin, EgressPolicy, Verdict};
use pulsetrail_domain::monitor::Target;
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::egress::report;
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::store::append_refusals;
use url::{Host, Url};

use super::super::CommandState;
use super::rules::Objection;
use crate::accounts::Metadata;

/// Why the target may not be dialled, and where in the body that stands.
pub(super) struct Refused {
    /// The place, as a JSON pointer.
    pub(super) pointer: &'static str,
    /// The shield's word.
    pub(super) verdict: Verdict,
    /// What was to be dialled.
    pub(super) url: Url,
}

/// Why the target, whose URL stands at `url_pointer` if it has one, may not be dialled; none where it
/// may be, or where only DNS can tell.
pub(super) fn refusal(
    policy: &EgressPolicy,
    target: &Target,
    url_pointer: &'static str,
) -> Option<Refused> {
    let (pointer, verdict) = match target {
        Target::Http(http) => {
            let url = http.url.url();
            (url_pointer, judge(policy, url.host()?, url.port_or_known_default()?)?)
        }
        Target::Tcp(tcp) => ("/target/host", judge(policy, tcp.host.host(), tcp.port)?),
        Target::Tls(tls) => ("/target/host", judge(policy, tls.host.host(), tls.port)?),
        Target::Dns(dns) => ("/target/resolver", policy.judge(dns.resolver?.0)),
        Target::Heartbeat(_) => return None,
    };
    if verdict.is_accepted() {
        return None;
    }
    Some(Refused { pointer, verdict, url: target.dialled_url()? })
}

/// The verdict on a host, as far as there is one without DNS.
fn judge(policy: &EgressPolicy, host: Host<&str>, port: u16) -> Option<Verdict> {
    let literal = |ip: IpAddr| policy.judge(SocketAddr::new(ip, port));
    match host {
        Host::Ipv4(address) => Some(literal(address.into())),
        Host::Ipv6(address) => Some(literal(address.into())),
        Host::Domain(name) if names_this_machine(name) => {
            // Either address may be dialled: it is refused where both are.
            let verdicts = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(literal);
            verdicts.iter().find(|verdict| verdict.is_accepted()).or(verdicts.first()).copied()
        }
        Host::Domain(_) => None,
    }
}

/// What to answer to an objection. A refused address is in the organization's log before anybody is told
/// of it: 503 where the log cannot be written, 429 where it has taken as many as it may for now.
pub(super) async fn answer(
    state: &CommandState,
    objection: Objection,
    organization_id: OrganizationId,
    monitor_id: Option<MonitorId>,
    metadata: &Metadata,
) -> Problem {
    if let Some(refusal) = objection.refusal {
        if let Err(over_limit) = state.refusals.count(&organization_id.to_string()).await {
            return over_limit;
        }
        let address = refusal.address.clone();
        let event = EgressEvent::blocked(EgressOrigin::Registration, monitor_id, None, refusal);
        report(&event, &address);
        let events = [(organization_id, event)];
        if let Err(error) = append_refusals(&state.store.write, &events, metadata).await {
            return error.into();
        }
    }
    objection.problem
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
        refusal(policy, &Target::Http(HttpTarget::get(url)), "/url").is_some()
    }

    #[test]
    fn every_kind_is_judged_by_where_it_dials() {
        let refused = |target: serde_json::Value| {
            let target: Target = serde_json::from_value(target).unwrap();
            let refusal = refusal(&EgressPolicy::default(), &target, "/target/url");
            refusal.map(|refused| refused.pointer.to_owned())
        };
        use serde_json::json;
        let host = Some("/target/host".to_owned());
        assert_eq!(refused(json!({"type": "tcp", "host": "0x7f.1", "port": 22})), host);
        assert_eq!(refused(json!({"type": "tls", "host": "localhost"})), host);
        assert_eq!(refused(json!({"type": "tls", "host": "[::ffff:10.0.0.1]"})), host);
        assert_eq!(refused(json!({"type": "tcp", "host": "93.184.216.34", "port": 22})), None);
        let ask = |resolver: &str| {
            let name = "10.0.0.1.example";
            json!({"type": "dns", "name": name, "record_type": "A", "resolver": resolver})
        };
        assert_eq!(refused(ask("169.254.169.254")), Some("/target/resolver".to_owned()));
        assert_eq!(refused(ask("9.9.9.9")), None);
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
