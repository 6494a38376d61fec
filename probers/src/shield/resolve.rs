//! From a name to every address it has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, FutureExt as _, select};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError as ProtocolError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use tokio::time::{Instant, timeout, timeout_at};

use super::ShieldError;
use super::datagram::DnsRuntime;

/// Records of one type that a name may have. Each is judged, and the first few are dialled.
pub(super) const MAX_RECORDS: usize = 1_000;
/// How long the addresses of one family wait for those of the other (RFC 8305, section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// A name has no address, and why.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist.
    #[error("the name does not exist (NXDOMAIN)")]
    NxDomain,
    /// The text is no DNS name: no server would know it.
    #[error("the host is no valid DNS name")]
    InvalidName,
    /// The name exists and has no address, or no record of the type that was asked for.
    #[error("the name exists but has no record of that type")]
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
    /// The resolver does not know such questions, with EDNS (RFC 6891) or without.
    #[error("the resolver does not understand the question (FORMERR or NOTIMP)")]
    NotUnderstood,
    /// The resolver did not answer in time, or could not be reached.
    #[error("the resolver did not answer in time")]
    Timeout,
}

pub(super) struct Resolver {
    servers: Vec<NameServerConfig>,
    options: ResolverOpts,
    /// As the options say.
    usual: Client,
    /// Without EDNS, for servers that do not understand it. Few are needed.
    without_edns: OnceLock<Client>,
}

type Client = hickory_resolver::Resolver<DnsRuntime>;

/// The addresses of a name that are known, and those that are yet to come.
pub(super) struct Addresses<'a> {
    pub(super) known: Vec<IpAddr>,
    /// Those of the other family, where the resolver takes its time with them.
    pub(super) late: Option<LateAddresses<'a>>,
}

/// Addresses of one family that the resolver was asked for.
pub(super) type LateAddresses<'a> = BoxFuture<'a, Result<Vec<IpAddr>, DnsError>>;

impl Resolver {
    /// The resolver of this machine. What `/etc/hosts` says of a name is said first if `hosts` says so.
    pub(super) fn of_the_system(hosts: ResolveHosts) -> Result<Self, ShieldError> {
        let (servers, options) = match read_system_conf() {
            Ok((config, options)) => (config.into_parts().2, options),
            Err(error) => {
                // resolv.conf(5): without an entry, the name server on the local machine is used.
                tracing::warn!(%error, "/etc/resolv.conf names no server: this machine's is asked");
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (vec![local], ResolverOpts::default())
            }
        };
        Self::build(servers, options, hosts)
    }

    pub(super) fn with_name_servers(servers: &[SocketAddr]) -> Result<Self, ShieldError> {
        Self::with_servers(servers, ResolveHosts::Never)
    }

    /// A resolver that asks these servers, and `/etc/hosts` before them if `hosts` says so.
    pub(super) fn with_servers(
        servers: &[SocketAddr],
        hosts: ResolveHosts,
    ) -> Result<Self, ShieldError> {
        let server = |address: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut one| {
                one.port = address.port();
                one
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let servers = servers.iter().map(server).collect();
        Self::build(servers, ResolverOpts::default(), hosts)
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
        let usual = client(&servers, options.clone())?;
        Ok(Self { servers, options, usual, without_edns: OnceLock::new() })
    }

    #[cfg(test)]
    pub(super) fn reads_hosts_file(&self) -> bool {
        self.options.use_hosts_file != ResolveHosts::Never
    }

    fn without_edns(&self) -> Result<&Client, DnsError> {
        if let Some(client) = self.without_edns.get() {
            return Ok(client);
        }
        let mut options = self.options.clone();
        options.edns0 = false;
        let built = client(&self.servers, options).map_err(|_| DnsError::NotUnderstood)?;
        Ok(self.without_edns.get_or_init(|| built))
    }

    /// What a name has of a type; asked once more without EDNS where the server does not understand the
    /// question with it (RFC 6891, section 7).
    pub(super) async fn lookup(
        &self,
        name: Name,
        record_type: RecordType,
    ) -> Result<Lookup, DnsError> {
        let ended = self.usual.lookup(name.clone(), record_type).await;
        match ended.map_err(|error| cause(&error)) {
            Err(DnsError::NotUnderstood) => {
                let ended = self.without_edns()?.lookup(name, record_type).await;
                ended.map_err(|error| cause(&error))
            }
            ended => ended,
        }
    }

    /// The IPv6 and IPv4 addresses of a name, in turns, IPv6 first (RFC 8305, section 4). Where the
    /// addresses of one family are there, those of the other are waited for a moment and no longer.
    pub(super) async fn addresses(
        &self,
        name: &str,
        deadline: Instant,
    ) -> Result<Addresses<'_>, DnsError> {
        let mut name = Name::from_ascii(name).map_err(|_| DnsError::InvalidName)?;
        // A name with its root is looked up as it is, in no search domain.
        name.set_fqdn(true);
        let v4 = self.addresses_of_type(name.clone(), RecordType::A).boxed();
        let v6 = self.addresses_of_type(name, RecordType::AAAA).boxed();
        let first = timeout_at(deadline, select(v4, v6)).await.map_err(|_| DnsError::Timeout)?;
        let (first, mut other, v4_is_first) = match first {
            Either::Left((v4, v6)) => (v4, v6, true),
            Either::Right((v6, v4)) => (v6, v4, false),
        };
        let second = match &first {
            Ok(_) => timeout(RESOLUTION_DELAY, &mut other).await,
            Err(DnsError::TooMany) => return Err(DnsError::TooMany),
            Err(_) => timeout_at(deadline, &mut other).await,
        };
        let (first, second) = match (first, second) {
            // More than are looked at are not judged either.
            (_, Ok(Err(DnsError::TooMany))) => return Err(DnsError::TooMany),
            (first, Ok(second)) => (first, second),
            (Ok(known), Err(_elapsed)) => return Ok(Addresses { known, late: Some(other) }),
            (Err(DnsError::NxDomain), Err(_elapsed)) => return Err(DnsError::NxDomain),
            (Err(_), Err(_elapsed)) => return Err(DnsError::Timeout),
        };
        let (v4, v6) = if v4_is_first { (first, second) } else { (second, first) };
        match (v4, v6) {
            (Err(DnsError::NoRecords), Err(error)) | (Err(error), Err(_)) => Err(error),
            (v4, v6) => {
                let known = in_turns(v6.unwrap_or_default(), v4.unwrap_or_default());
                Ok(Addresses { known, late: None })
            }
        }
    }

    async fn addresses_of_type(
        &self,
        name: Name,
        record_type: RecordType,
    ) -> Result<Vec<IpAddr>, DnsError> {
        let found = self.lookup(name, record_type).await?;
        let addresses: Vec<IpAddr> =
            found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
        if addresses.is_empty() && found.message().response_code == ResponseCode::NXDomain {
            return Err(DnsError::NxDomain);
        }
        not_too_many(addresses)
    }
}

fn client(servers: &[NameServerConfig], options: ResolverOpts) -> Result<Client, ShieldError> {
    let config = ResolverConfig::from_parts(None, Vec::new(), servers.to_vec());
    let mut builder = Client::builder_with_config(config, DnsRuntime::default());
    *builder.options_mut() = options;
    builder.build().map_err(|error| ShieldError(error.to_string()))
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

fn cause(error: &NetError) -> DnsError {
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
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS => {
            DnsError::NotUnderstood
        }
        _ => DnsError::ServFail,
    }
}
