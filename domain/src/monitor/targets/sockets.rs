//! Targets that are one connection, and the one that is none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::TargetHost;
use super::secret::ClientCertificate;
use crate::monitor::Violation;

/// A TCP connection that must come about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpTarget {
    /// Where to: a name or an address.
    pub host: TargetHost,
    /// 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
}

/// A TLS handshake whose certificate must be good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsTarget {
    /// Where to, and what the certificate must be for: a name or an address.
    pub host: TargetHost,
    /// 1 to 65535; 443 where it is left out.
    #[serde(default = "default_tls_port")]
    #[schemars(range(min = 1))]
    pub port: u16,
    /// With fewer days until the certificate expires the result has a warning: 0 to 365.
    #[serde(default = "default_warn_days")]
    #[schemars(range(max = 365))]
    pub warn_days: u16,
    /// The certificate that is shown to a server that asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Box<ClientCertificate>>,
}

/// Something that reports by itself, at least once an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatTarget {
    /// How late a report may be, in seconds: 0 to 86,400.
    #[serde(default = "default_grace_seconds")]
    #[schemars(range(max = 86_400))]
    pub grace_seconds: u32,
}

fn default_tls_port() -> u16 {
    443
}

fn default_warn_days() -> u16 {
    14
}

fn default_grace_seconds() -> u32 {
    60
}

impl TcpTarget {
    pub(super) fn validate(&self, violations: &mut Vec<Violation>) {
        validate_port(self.port, violations);
    }
}

impl TlsTarget {
    pub(super) fn validate(&self, violations: &mut Vec<Violation>) {
        validate_port(self.port, violations);
        if let Some(client) = &self.client_certificate {
            client.validate(violations);
        }
        if self.warn_days > 365 {
            violations.push(Violation::new("/target/warn_days", "must be at most 365"));
        }
    }
}

impl Default for HeartbeatTarget {
    fn default() -> Self {
        Self { grace_seconds: default_grace_seconds() }
    }
}

impl HeartbeatTarget {
    pub(super) fn validate(&self, violations: &mut Vec<Violation>) {
        if self.grace_seconds > 86_400 {
            violations.push(Violation::new("/target/grace_seconds", "must be at most 86400"));
        }
    }
}

fn validate_port(port: u16, violations: &mut Vec<Violation>) {
    if port == 0 {
        violations.push(Violation::new("/target/port", "must be 1 to 65535"));
    }
}
