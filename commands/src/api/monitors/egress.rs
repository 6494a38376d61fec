//! Whether a target may be dialled, as far as that can be said without asking DNS. The prober judges
//! again, with the addresses that the name leads to when it dials.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use pulsetrail_domain::egress::{EgressEvent, EgressOrigin, EgressPolicy, Verdict};
use pulsetrail_domain::monitor::Target;
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::egress::report;
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::store::append_refusals;
use url::Url;

use super::super::CommandState;
use super::rules::Objection;
use crate::accounts::Metadata;

/// Why the target may not be dialled; none where it may, or where only DNS can tell.
pub(super) fn refusal(policy: &EgressPolicy, target: &Target) -> Option<(Verdict, Url)> {
    let Target::Http(http) = target;
    refusal_of_url(policy, http.url.url()).map(|verdict| (verdict, http.url.url().clone()))
}

/// Why nothing may be dialled that a URL's host says outright, at its port.
fn refusal_of_url(policy: &EgressPolicy, url: &Url) -> Option<Verdict> {
    if let Some(verdict) = policy.judge_url_literal(url) {
        return (!verdict.is_accepted()).then_some(verdict);
    }
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

/// What to answer to an objection. A refused address is in the organization's log before anybody is told
/// of it: 503 where the log cannot be written.
pub(super) async fn answer(
    state: &CommandState,
    objection: Objection,
    organization_id: OrganizationId,
    monitor_id: Option<MonitorId>,
    metadata: &Metadata,
) -> Problem {
    if let Some(refusal) = objection.refusal {
        let event = EgressEvent::blocked(EgressOrigin::Registration, monitor_id, None, refusal);
        report(&event);
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
