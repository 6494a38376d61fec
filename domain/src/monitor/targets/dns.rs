//! A question to the DNS and what is expected of its answer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::TargetHost;
use crate::monitor::Violation;

/// The port of the DNS (RFC 1035).
const DNS_PORT: u16 = 53;

/// A question to the DNS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsTarget {
    /// What is asked for: a name; for `PTR` also an address.
    pub name: TargetHost,
    /// Which records.
    pub record_type: RecordType,
    /// Answers that must be there, among others or not: at most 20, as zone files write them. Where
    /// there are none, any answer will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// Who is asked, as `address` or `address:port`; left out, the resolvers of the prober's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<ResolverAddress>,
}

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Who may issue certificates (RFC 8659).
    Caa,
    /// Another name.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// The name of an address.
    Ptr,
    /// The zone.
    Soa,
    /// Services (RFC 2782).
    Srv,
    /// Texts.
    Txt,
}

impl RecordType {
    /// Its name (RFC 1035 and others).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DnsTarget {
    pub(super) fn validate(&self, violations: &mut Vec<Violation>) {
        if self.name.address().is_some() && self.record_type != RecordType::Ptr {
            let detail = "is an address: only PTR is asked for of one";
            violations.push(Violation::new("/target/name", detail));
        }
        if self.expected.len() > 20 {
            violations.push(Violation::new("/target/expected", "must be at most 20"));
        }
        for (index, expected) in self.expected.iter().enumerate() {
            let good = (1..=1_024).contains(&expected.len())
                && match self.record_type {
                    RecordType::A => expected.parse::<Ipv4Addr>().is_ok(),
                    RecordType::Aaaa => expected.parse::<Ipv6Addr>().is_ok(),
                    _ => true,
                };
            if !good {
                let detail = "must be an answer of that type, with at most 1024 bytes";
                violations.push(Violation::new(format!("/target/expected/{index}"), detail));
            }
        }
        if self.resolver.is_some_and(|resolver| resolver.0.port() == 0) {
            violations.push(Violation::new("/target/resolver", "must have a port from 1 to 65535"));
        }
    }
}

/// The address of a DNS server, with its port where that is not 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ResolverAddress(#[schemars(with = "String")] pub SocketAddr);

/// The text is no address of a DNS server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected an address such as \"9.9.9.9\", \"9.9.9.9:5353\" or \"[2620:fe::fe]:53\"")]
pub struct InvalidResolver;

impl TryFrom<String> for ResolverAddress {
    type Error = InvalidResolver;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
        alone.or_else(|_| text.parse()).map(Self).map_err(|_| InvalidResolver)
    }
}

impl From<ResolverAddress> for String {
    fn from(resolver: ResolverAddress) -> Self {
        resolver.to_string()
    }
}

impl fmt::Display for ResolverAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.port() == DNS_PORT { self.0.ip().fmt(f) } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_an_address() {
        for (text, kept) in [
            ("9.9.9.9", "9.9.9.9"),
            ("9.9.9.9:53", "9.9.9.9"),
            ("9.9.9.9:5353", "9.9.9.9:5353"),
            ("2620:fe::fe", "2620:fe::fe"),
            ("[2620:fe::fe]:54", "[2620:fe::fe]:54"),
        ] {
            assert_eq!(ResolverAddress::try_from(text.to_owned()).unwrap().to_string(), kept);
        }
        for text in ["", "dns.example", "9.9.9", "9.9.9.9:x", "0x9.9.9.9"] {
            assert!(ResolverAddress::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
