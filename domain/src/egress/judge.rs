//! The judgement of one address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use super::embedded::{Embedding, embedded_ipv4};
use super::ranges::{Range, most_specific};
use crate::monitor::TargetUrl;

/// What stands for a range where Pulsetrail's own listener or engine is refused.
pub const OWN_RANGE: &str = "pulsetrail";

/// What an installation allows and forbids beyond the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Ranges that may be dialled although the table refuses them.
    pub allow: Vec<IpNet>,
    /// Pulsetrail's own listeners and engines: never dialled, whatever is allowed. One on the
    /// unspecified address listens on every address of the machine.
    pub own: Vec<SocketAddr>,
}

/// Why an address may be dialled, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is globally reachable.
    Global,
    /// The table refuses it and the installation allows it.
    AllowListed(IpNet),
    /// This row of the table refuses it.
    Refused(&'static Range),
    /// It is Pulsetrail's own.
    RefusedOwn,
}

/// The judgement of an address. The event, the metric and the log line are all made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was judged, and what to dial if it is accepted: IPv4-mapped IPv6 is turned into IPv4.
    pub address: SocketAddr,
    /// The judgement.
    pub ruling: Ruling,
}

impl Verdict {
    /// Whether the address may be dialled.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.ruling, Ruling::Global | Ruling::AllowListed(_))
    }

    /// The range that refuses it, such as `10.0.0.0/8`, or [`OWN_RANGE`]; none where it is accepted.
    #[must_use]
    pub fn refused_range(&self) -> Option<String> {
        match self.ruling {
            Ruling::Global | Ruling::AllowListed(_) => None,
            Ruling::Refused(range) => Some(range.net.to_string()),
            Ruling::RefusedOwn => Some(OWN_RANGE.to_owned()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.ip();
        match self.ruling {
            Ruling::Global => write!(f, "{address} is globally reachable"),
            Ruling::AllowListed(net) => write!(f, "{address} is allowed by {net}"),
            Ruling::Refused(range) => {
                write!(f, "{address} is refused: {} ({}, {})", range.net, range.name, range.source)
            }
            Ruling::RefusedOwn => write!(f, "{} is refused: it is Pulsetrail's own", self.address),
        }
    }
}

impl EgressPolicy {
    /// Judges an address. Of the machine's own addresses it knows the loopback ones alone.
    #[must_use]
    pub fn judge(&self, address: SocketAddr) -> Verdict {
        self.judge_knowing(address, |ip| ip.is_loopback())
    }

    /// Judges an address; `is_local` says whether an address is one of this machine's, and is asked
    /// only where a listener on every address has the port.
    #[must_use]
    pub fn judge_knowing(&self, address: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> Verdict {
        let ip = address.ip().to_canonical();
        let dialled = SocketAddr::new(ip, address.port());
        let ruling = self.rule(address.ip());
        let accepted = matches!(ruling, Ruling::Global | Ruling::AllowListed(_));
        if accepted && self.is_own(dialled, is_local) {
            return Verdict { address: dialled, ruling: Ruling::RefusedOwn };
        }
        // What is refused is shown as it was given.
        Verdict { address: if accepted { dialled } else { address }, ruling }
    }

    /// Judges the host of a URL where it is an address; none where it is a name, which is judged by
    /// what it leads to when it is dialled.
    #[must_use]
    pub fn judge_literal(&self, url: &TargetUrl) -> Option<Verdict> {
        self.judge_url_literal(url.url())
    }

    /// As [`EgressPolicy::judge_literal`], of any URL.
    #[must_use]
    pub fn judge_url_literal(&self, url: &Url) -> Option<Verdict> {
        let ip: IpAddr = match url.host()? {
            Host::Domain(_) => return None,
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
        };
        Some(self.judge(SocketAddr::new(ip, url.port_or_known_default()?)))
    }

    fn rule(&self, ip: IpAddr) -> Ruling {
        let embedded = match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded_ipv4(address),
        };
        let refusal = refusing(ip, embedded);
        let Some(refusal) = refusal else { return Ruling::Global };
        // Only the mapped form is the same destination as the address it carries.
        let mapped = embedded.filter(|(how, _)| *how == Embedding::Mapped).map(|(_, v4)| v4);
        let allowed = self.allow.iter().find(|net| {
            net.contains(&ip) || mapped.is_some_and(|v4| net.contains(&IpAddr::V4(v4)))
        });
        allowed.map_or(Ruling::Refused(refusal), |net| Ruling::AllowListed(*net))
    }

    fn is_own(&self, dialled: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> bool {
        let carried = match dialled.ip() {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded_ipv4(address).map(|(_, v4)| IpAddr::V4(v4)),
        };
        let forms = [Some(dialled.ip()), carried];
        self.own.iter().filter(|own| own.port() == dialled.port()).any(|own| {
            let own = own.ip().to_canonical();
            forms.into_iter().flatten().any(|form| {
                if form.is_unspecified() {
                    // To dial the unspecified address is to dial this machine.
                    return own.is_unspecified() || is_local(own);
                }
                own == form || own.is_unspecified() && is_local(form)
            })
        })
    }
}

/// The row that refuses an address, or the IPv4 address that it carries.
fn refusing(ip: IpAddr, embedded: Option<(Embedding, Ipv4Addr)>) -> Option<&'static Range> {
    let refusing = |ip: IpAddr| most_specific(ip).filter(|range| !range.reachable);
    let carried = embedded.and_then(|(_, v4)| refusing(IpAddr::V4(v4)));
    match embedded {
        // Who writes an IPv4 address in another way learns what is wrong with the address.
        Some((Embedding::Mapped, _)) => carried.or_else(|| refusing(ip)),
        _ => refusing(ip).or(carried),
    }
}
