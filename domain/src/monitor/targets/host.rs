//! The host of a target that is no URL.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Host;

/// A name or an address, read as the host of a URL is (WHATWG URL, "host parsing"): whatever form an
/// address is written in, it is an address. A name has no dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct TargetHost(#[schemars(with = "String", length(min = 1, max = 253))] Host);

/// Why a text is no host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidTargetHost {
    /// It does not parse.
    #[error("is no host name or address: {0}")]
    Syntax(url::ParseError),
    /// A port stands in it.
    #[error("must be a host name or address alone: give the port as `port`")]
    WithPort,
    /// It is a URL.
    #[error("must be a host name or address alone, such as \"example.com\", not a URL")]
    IsUrl,
    /// A part between dots is empty or has more than 63 bytes, or all have more than 253 (RFC 1035).
    #[error("a name has at most 253 bytes, and 1 to 63 between two dots")]
    Length,
}

impl TargetHost {
    /// The name or address.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        match &self.0 {
            Host::Domain(name) => Host::Domain(name),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        }
    }

    /// The address, where it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match &self.0 {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        }
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn with_port(&self, port: u16) -> String {
        format!("{}:{port}", self.0)
    }
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Host::Domain(name) => f.write_str(name),
            Host::Ipv4(address) => address.fmt(f),
            Host::Ipv6(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for TargetHost {
    type Error = InvalidTargetHost;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self(Host::Ipv6(address)));
        }
        // Before the parser, whose time is not linear in every case.
        if text.len() > 1_024 {
            return Err(InvalidTargetHost::Length);
        }
        if text.contains("//") {
            return Err(InvalidTargetHost::IsUrl);
        }
        if has_port(&text) {
            return Err(InvalidTargetHost::WithPort);
        }
        match Host::parse(&text).map_err(InvalidTargetHost::Syntax)? {
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let fits = |label: &str| (1..=63).contains(&label.len());
                if name.len() > 253 || !name.split('.').all(fits) {
                    return Err(InvalidTargetHost::Length);
                }
                Ok(Self(Host::Domain(name.to_owned())))
            }
            address => Ok(Self(address)),
        }
    }
}

/// Whether a text is a host followed by a colon and digits.
fn has_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        (!host.contains(':') || host.ends_with(']'))
            && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl From<TargetHost> for String {
    fn from(host: TargetHost) -> Self {
        host.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, InvalidTargetHost> {
        TargetHost::try_from(text.to_owned()).map(String::from)
    }

    #[test]
    fn an_address_is_an_address_in_whatever_form() {
        for text in ["127.0.0.1", "2130706433", "0x7f.1", "017700000001", "127.0.0.1.", "１２７.1"]
        {
            let host = TargetHost::try_from(text.to_owned()).unwrap();
            assert_eq!(host.address(), Some(IpAddr::from([127, 0, 0, 1])), "{text}");
        }
        assert_eq!(read("::1").unwrap(), "::1");
        assert_eq!(read("[::1]").unwrap(), "::1");
        let mapped = TargetHost::try_from("::ffff:10.0.0.1".to_owned()).unwrap();
        assert_eq!(mapped.with_port(5), "[::ffff:a00:1]:5");
    }

    #[test]
    fn a_name_is_kept_in_ascii_and_without_its_last_dot() {
        assert_eq!(read("Bücher.Example.").unwrap(), "xn--bcher-kva.example");
        assert_eq!(read("_dmarc.example.com").unwrap(), "_dmarc.example.com");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        assert!(matches!(read(""), Err(InvalidTargetHost::Syntax(_))));
        for text in ["127.0.0.1:80", "example.com:443", "[::1]:80", "example.com:"] {
            assert_eq!(read(text), Err(InvalidTargetHost::WithPort), "{text}");
        }
        for text in ["https://example.com", "//example.com"] {
            assert_eq!(read(text), Err(InvalidTargetHost::IsUrl), "{text}");
        }
        for text in ["a b", "a/b", "user@host", "host:80", "1.2.3.4.5", "256.0.0.1", "[::1", "%00"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for text in ["a..b", ".", &long, &"a.".repeat(128), &"a".repeat(2_000)] {
            assert!(matches!(read(text), Err(InvalidTargetHost::Length)), "{text}");
        }
    }
}
