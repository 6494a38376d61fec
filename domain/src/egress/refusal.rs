//! What is kept of a refusal.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::{EgressEvent, EgressOrigin, Range, Ruling, Verdict};
use crate::{CheckId, MonitorId};

/// A verdict that refuses, with where it was asked for. The event, the metric and the log line are made
/// from it. The address is for operators: the organization is told only what [`Refusal::told`] leaves of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The URL that was to be dialled, without a user name, a password or a fragment.
    pub url: String,
    /// The address that it led to; empty if that is not told, see [`Refusal::told`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The refused range that the address lies in, such as `10.0.0.0/8`, or
    /// [`OWN_RANGE`](super::OWN_RANGE).
    pub range: String,
}

impl Verdict {
    /// What to keep of it where it refuses `url`; none where it accepts.
    #[must_use]
    pub fn refusal(&self, url: &Url) -> Option<Refusal> {
        let range = self.refused_range()?;
        let address = self.address.ip().to_string();
        Some(Refusal { url: without_secrets(url), address, range })
    }
}

impl EgressEvent {
    /// A refusal as it enters the log of the organization.
    #[must_use]
    pub fn blocked(
        origin: EgressOrigin,
        monitor_id: Option<MonitorId>,
        check_id: Option<CheckId>,
        refusal: Refusal,
    ) -> Self {
        let Refusal { url, address, range } = refusal.told();
        let address = (!address.is_empty()).then_some(address);
        Self::EgressBlocked { origin, monitor_id, check_id, url, address, range }
    }
}

impl Refusal {
    /// The same without the address, unless it stands in the URL: what a name leads to may be a secret of the
    /// network that a prober is in.
    #[must_use]
    pub fn told(mut self) -> Self {
        let url = Url::parse(&self.url).ok();
        let address = self.address.parse().ok();
        if !url.zip(address).is_some_and(|(url, address)| stands_in(&url, address)) {
            self.address.clear();
        }
        self
    }
}

impl Verdict {
    /// Why `url`, which people know as `host`, was refused. Of an address that does not stand in the URL only the
    /// range is told.
    #[must_use]
    pub fn reason(&self, url: &Url, host: &str) -> String {
        match self.ruling {
            Ruling::Refused(range) if !stands_in(url, self.address.ip()) => {
                let Range { net, name, source, .. } = range;
                format!("{host} leads to an address that is refused: {net} ({name}, {source})")
            }
            Ruling::RefusedOwn if !stands_in(url, self.address.ip()) => {
                format!("{host} leads to an address that is refused: it is Pulsetrail's own")
            }
            _ => self.to_string(),
        }
    }
}

/// Whether an address is the host of a URL.
fn stands_in(url: &Url, address: IpAddr) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // Only the schemes of the web have their IPv4 addresses in one form.
    let host = match Host::parse(host) {
        Ok(Host::Ipv4(address)) => Some(IpAddr::from(address)),
        _ => host.parse().ok(),
    };
    host.is_some_and(|host| host.to_canonical() == address.to_canonical())
}

/// A URL without the parts that may hold a password, or that are never sent.
fn without_secrets(url: &Url) -> String {
    let mut url = url.clone();
    // Refused only by URLs without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::super::EgressPolicy;
    use super::*;

    fn refusal(url: &str) -> Option<Refusal> {
        let url = Url::parse(url).unwrap();
        EgressPolicy::default().judge_url_literal(&url)?.refusal(&url)
    }

    #[test]
    fn a_refusal_says_what_was_refused_and_why_and_keeps_no_password() {
        let kept = refusal("http://ada:secret@10.0.0.1:8080/a?b=c#secret").unwrap();
        assert_eq!(kept.url, "http://10.0.0.1:8080/a?b=c");
        assert_eq!((&*kept.address, &*kept.range), ("10.0.0.1", "10.0.0.0/8"));
        let kept = refusal("tcp://:secret@[::1]:22").unwrap();
        assert_eq!(kept.url, "tcp://[::1]:22");
    }

    #[test]
    fn an_organization_is_told_no_address_that_does_not_stand_in_its_url() {
        let policy = EgressPolicy::default();
        let told = |url: &str, address: &str| {
            let url = Url::parse(url).unwrap();
            let verdict = policy.judge(std::net::SocketAddr::new(address.parse().unwrap(), 80));
            let reason = verdict.reason(&url, "the host");
            let refusal = verdict.refusal(&url).unwrap();
            assert_eq!(refusal.address, address, "operators are told");
            let event = EgressEvent::blocked(EgressOrigin::Probe, None, None, refusal);
            let EgressEvent::EgressBlocked { address: told, range, .. } = event;
            assert!(reason.contains(&range), "{reason}");
            assert_eq!(told.is_some(), reason.contains(address), "{reason}");
            told
        };
        let hidden = [
            "http://db.internal/",
            "tcp://db.internal:22",
            "dns:db.internal?type=A",
            "dns://9.9.9.9:53/db?type=A",
        ];
        for url in hidden {
            assert_eq!(told(url, "10.1.2.3"), None, "{url}");
        }
        for url in [
            "http://10.1.2.3/",
            "http://0x0a010203",
            "tcp://10.1.2.3:22",
            "dns://10.1.2.3:53/x?type=A",
        ] {
            assert_eq!(told(url, "10.1.2.3").as_deref(), Some("10.1.2.3"), "{url}");
        }
        assert_eq!(told("tls://[fd00::1]:443", "fd00::1").as_deref(), Some("fd00::1"));
    }

    #[test]
    fn what_is_accepted_leaves_nothing_to_keep() {
        assert_eq!(refusal("http://9.9.9.9/"), None);
    }
}
