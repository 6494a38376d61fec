//! The one way out: every socket to an address that a user supplied is opened here, on an address
//! that was judged (invariant I5).
//!
//! A name is resolved here, every address it leads to is judged, and one of those very addresses is
//! dialled, so that a name cannot lead to one place when it is judged and to another when it is
//! dialled. One refused address refuses the name; an address that the resolver takes its time with is
//! judged when it comes, before it is dialled.

mod ask;
#[cfg(test)]
mod canary_tests;
mod datagram;
mod dial;
mod local;
mod resolve;
#[cfg(test)]
pub(crate) mod tests;

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hickory_resolver::config::ResolveHosts;
use ipnet::IpNet;
use pulsetrail_domain::egress::{EgressPolicy, Verdict};
use pulsetrail_domain::monitor::TargetUrl;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Host;

pub use dial::DialError;
pub use resolve::DnsError;
use resolve::{Addresses, LateAddresses, Resolver};

/// The way out. Clones share the resolver.
#[derive(Clone)]
pub struct Shield {
    inner: Arc<Inner>,
}

struct Inner {
    policy: EgressPolicy,
    /// Says where a name leads to.
    resolver: Resolver,
    /// Answers what checks ask the DNS: never from `/etc/hosts`.
    questions: Resolver,
}

/// The shield cannot be set up: names could not be resolved at all.
#[derive(Debug, thiserror::Error)]
#[error("the resolver cannot be set up: {0}")]
pub struct ShieldError(String);

/// A connection to a judged address.
#[derive(Debug)]
pub struct Dialled {
    /// The connection, without Nagle's delay.
    pub stream: TcpStream,
    /// Where it leads.
    pub address: SocketAddr,
    /// How long the name took to resolve; zero for an address.
    pub dns: Duration,
    /// How long connecting took, over all the addresses that were tried.
    pub connect: Duration,
}

/// There is no connection, and how long what came before took.
#[derive(Debug)]
pub struct DialFailure {
    /// What went wrong.
    pub reason: DialFailureReason,
    /// How long the name took to resolve, or was waited for.
    pub dns: Duration,
    /// How long connecting was tried.
    pub connect: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialFailureReason {
    /// The shield refused: do not try again.
    #[error("{0}")]
    Refused(Verdict),
    /// The name leads nowhere.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// No address could be connected to.
    #[error(transparent)]
    Connect(#[from] DialError),
}

impl Shield {
    /// A shield that resolves names as this machine does: the name servers of `/etc/resolv.conf`
    /// (the one on this machine where it names none), after `/etc/hosts`, without search domains, and
    /// never a public resolver instead. Names under `localhost` are loopback without being asked for
    /// (RFC 6761). What a check asks the DNS is never answered from `/etc/hosts`. Whatever a name leads to is judged, wherever the answer came from.
    ///
    /// `allow` opens ranges that the table refuses; `own` are Pulsetrail's own listeners and engines,
    /// refused whatever is allowed.
    ///
    /// # Errors
    /// [`ShieldError`] when no resolver can be made.
    pub fn new(allow: Vec<IpNet>, own: Vec<SocketAddr>) -> Result<Self, ShieldError> {
        let resolver = Resolver::of_the_system(ResolveHosts::Always)?;
        let questions = Resolver::of_the_system(ResolveHosts::Never)?;
        Ok(Self::with_resolvers(allow, own, resolver, questions))
    }

    /// As [`Shield::new`], with name servers given instead of the system's, and without `/etc/hosts`.
    ///
    /// # Errors
    /// [`ShieldError`] when no resolver can be made.
    pub fn with_name_servers(
        allow: Vec<IpNet>,
        own: Vec<SocketAddr>,
        name_servers: &[SocketAddr],
    ) -> Result<Self, ShieldError> {
        let resolver = Resolver::with_name_servers(name_servers)?;
        let questions = Resolver::with_name_servers(name_servers)?;
        Ok(Self::with_resolvers(allow, own, resolver, questions))
    }

    fn with_resolvers(
        allow: Vec<IpNet>,
        own: Vec<SocketAddr>,
        resolver: Resolver,
        questions: Resolver,
    ) -> Self {
        let policy = EgressPolicy { allow, own };
        Self { inner: Arc::new(Inner { policy, resolver, questions }) }
    }

    /// What is allowed and forbidden beyond the table.
    #[must_use]
    pub fn policy(&self) -> &EgressPolicy {
        &self.inner.policy
    }

    /// Judges an address.
    #[must_use]
    pub fn judge(&self, address: SocketAddr) -> Verdict {
        self.inner.policy.judge_knowing(address, local::is_local)
    }

    /// Judges the host of a URL where it is an address; none where it is a name.
    #[must_use]
    pub fn judge_literal(&self, url: &TargetUrl) -> Option<Verdict> {
        let ip: IpAddr = match url.url().host()? {
            Host::Domain(_) => return None,
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
        };
        Some(self.judge(SocketAddr::new(ip, url.url().port_or_known_default()?)))
    }

    /// Resolves, judges and dials, until `deadline`.
    ///
    /// # Errors
    /// [`DialFailure`], with what was measured until then.
    pub async fn connect(
        &self,
        host: Host<&str>,
        port: u16,
        deadline: Instant,
    ) -> Result<Dialled, DialFailure> {
        let asked_at = Instant::now();
        let resolved = match host {
            Host::Domain(name) => self.inner.resolver.addresses(name, deadline).await,
            Host::Ipv4(address) => Ok(Addresses { known: vec![address.into()], late: None }),
            Host::Ipv6(address) => Ok(Addresses { known: vec![address.into()], late: None }),
        };
        let dns = if matches!(host, Host::Domain(_)) { asked_at.elapsed() } else { Duration::ZERO };
        let failure = |reason, connect| DialFailure { reason, dns, connect };
        let Addresses { known, late } =
            resolved.map_err(|error| failure(error.into(), Duration::ZERO))?;
        let judged = self
            .judge_all(&known, port)
            .map_err(|verdict| failure(DialFailureReason::Refused(verdict), Duration::ZERO))?;
        let dialled_at = Instant::now();
        let dialled = match late {
            None => dial::first_of(&judged, deadline).await.map_err(DialFailureReason::from),
            // Boxed: few names need it.
            Some(late) => Box::pin(self.first_of_both(&judged, late, port, deadline)).await,
        };
        match dialled {
            Ok((stream, address)) => {
                Ok(Dialled { stream, address, dns, connect: dialled_at.elapsed() })
            }
            Err(reason) => Err(failure(reason, dialled_at.elapsed())),
        }
    }

    /// Connects to the first that answers of the addresses that are known and those that are yet to come.
    async fn first_of_both(
        &self,
        known: &[SocketAddr],
        late: LateAddresses<'_>,
        port: u16,
        deadline: Instant,
    ) -> Result<(TcpStream, SocketAddr), DialFailureReason> {
        let late = async {
            let found = timeout_at(deadline, late).await.map_err(|_| DnsError::Timeout)??;
            let judged = self.judge_all(&found, port).map_err(DialFailureReason::Refused)?;
            Ok::<_, DialFailureReason>(dial::first_of(&judged, deadline).await?)
        };
        let known =
            async { dial::first_of(known, deadline).await.map_err(DialFailureReason::from) };
        match select(pin!(known), pin!(late)).await {
            Either::Left((Ok(dialled), _)) | Either::Right((Ok(dialled), _)) => Ok(dialled),
            Either::Left((Err(of_known), late)) => late.await.map_err(|of_late| match of_late {
                DialFailureReason::Refused(_) => of_late,
                _ => of_known,
            }),
            Either::Right((Err(of_late @ DialFailureReason::Refused(_)), known)) => {
                known.await.map_err(|_| of_late)
            }
            Either::Right((Err(_), known)) => known.await,
        }
    }

    /// The addresses to dial, or the first verdict that refuses. It is reported where it is known whose
    /// check it was.
    fn judge_all(&self, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, Verdict> {
        let verdicts = addresses.iter().map(|ip| self.judge(SocketAddr::new(*ip, port)));
        verdicts
            .map(|verdict| if verdict.is_accepted() { Ok(verdict.address) } else { Err(verdict) })
            .collect()
    }
}
