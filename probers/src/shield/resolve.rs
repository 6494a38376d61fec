//! From a name to every address it has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as ProtocolError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::{Instant, timeout_at};

use super::ShieldError;

/// Records of one type that a name may have. Each is judged, and the first few are dialled.
pub(super) const MAX_RECORDS: usize = 64;

/// A name has no address, and why.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist.
    #[error("the name does not exist (NXDOMAIN)")]
    NxDomain,
    /// The text is no DNS name: no server would know it.
    #[error("the host is no valid DNS name")]
    InvalidName,
    /// The name exists and has no address.
    #[error("the name exists but has no address")]
    NoRecords,
    /// The name has more records than are looked at.
    #[error("the name has more than {MAX_RECORDS} records of a type")]
    TooMany,
    /// The resolver failed.
    #[error("the resolver failed (SERVFAIL)")]
    ServFail,
    /// The resolver does not answer such questions.
    #[error("the resolver refused to answer (REFUSED)")]
    Refused,
    /// The resolver did not answer in time, or could not be reached.
    #[error("the resolver did not answer in time")]
    Timeout,
}

pub(super) struct Resolver {
    pub(super) resolver: TokioResolver,
}

impl Resolver {
    pub(super) fn of_the_system() -> Result<Self, ShieldError> {
        let (servers, options) = match read_system_conf() {
            Ok((config, options)) => (config.into_parts().2, options),
            Err(error) => {
                // resolv.conf(5): without an entry, the name server on the local machine is used.
                tracing::warn!(%error, "/etc/resolv.conf names no server: this machine's is asked");
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (vec![local], ResolverOpts::default())
            }
        };
        Self::build(servers, options, ResolveHosts::Always)
    }

    pub(super) fn with_name_servers(servers: &[SocketAddr]) -> Result<Self, ShieldError> {
        let server = |address: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut one| {
                one.port = address.port();
                one
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let servers = servers.iter().map(server).collect();
        Self::build(servers, ResolverOpts::default(), ResolveHosts::Never)
    }

    fn build(
        servers: Vec<NameServerConfig>,
        mut options: ResolverOpts,
        hosts: ResolveHosts,
    ) -> Result<Self, ShieldError> {
        // A check finds out what a visitor who comes now would: an answer from before is none.
        options.cache_size = 0;
        options.use_hosts_file = hosts;
        options.timeout = options.timeout.min(Duration::from_secs(5));
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|error| ShieldError(error.to_string()))?;
        Ok(Self { resolver })
    }

    /// Every IPv6 and IPv4 address of a name, in turns, IPv6 first (RFC 8305, section 4).
    pub(super) async fn addresses(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Vec<IpAddr>, DnsError> {
        let mut name = Name::from_ascii(name).map_err(|_| DnsError::InvalidName)?;
        // A name with its root is looked up as it is, in no search domain.
        name.set_fqdn(true);
        let both = async {
            tokio::join!(
                self.addresses_of_type(name.clone(), RecordType::A),
                self.addresses_of_type(name.clone(), RecordType::AAAA)
            )
        };
        let (v4, v6) = timeout_at(deadline, both).await.map_err(|_| DnsError::Timeout)?;
        match (v4, v6) {
            // More than are looked at are not judged either.
            (Err(DnsError::TooMany), _) | (_, Err(DnsError::TooMany)) => Err(DnsError::TooMany),
            (Err(DnsError::NoRecords), Err(error)) | (Err(error), Err(_)) => Err(error),
            (v4, v6) => Ok(in_turns(v6.unwrap_or_default(), v4.unwrap_or_default())),
        }
    }

    async fn addresses_of_type(
        &self,
        name: Name,
        record_type: RecordType,
    ) -> Result<Vec<IpAddr>, DnsError> {
        let found = self.resolver.lookup(name, record_type).await.map_err(|error| cause(&error))?;
        let addresses: Vec<IpAddr> =
            found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
        not_too_many(addresses)
    }
}

/// What was found, where it is something and not too much.
pub(super) fn not_too_many<T>(found: Vec<T>) -> Result<Vec<T>, DnsError> {
    match found.len() {
        0 => Err(DnsError::NoRecords),
        1..=MAX_RECORDS => Ok(found),
        _ => Err(DnsError::TooMany),
    }
}

fn in_turns(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut addresses = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return addresses;
        }
        addresses.extend(pair.into_iter().flatten());
    }
}

pub(super) fn cause(error: &NetError) -> DnsError {
    let code = match error {
        NetError::Dns(ProtocolError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(ProtocolError::ResponseCode(code)) => *code,
        NetError::Dns(_) => return DnsError::ServFail,
        _ => return DnsError::Timeout,
    };
    match code {
        ResponseCode::NXDomain => DnsError::NxDomain,
        ResponseCode::NoError => DnsError::NoRecords,
        ResponseCode::Refused => DnsError::Refused,
        _ => DnsError::ServFail,
    }
}
