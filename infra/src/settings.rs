//! Every setting: its name, its default, what it means. The one place that documents them.
//!
//! A setting comes from a `PULSETRAIL_*` variable, else from the TOML file that `PULSETRAIL_CONFIG`
//! names (keys in lower case without the prefix), else from its default. All mistakes are reported
//! at once, each with its name and source.

mod given;
mod in_force;
mod origin;
mod parse;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use ipnet::IpNet;
use pulsetrail_domain::Region;
use url::Url;

use crate::http::{Ingress, RateSettings};
use crate::secrets::{SecretText, SecretUrl};
use crate::telemetry::{LogFilter, LogFormat};

pub use self::in_force::{InForce, as_text, in_force};
pub use self::origin::{InvalidOrigin, Origin};

/// One setting's documentation.
#[derive(Debug)]
pub struct Setting {
    /// The key in a TOML file; in the environment in upper case behind `PULSETRAIL_`.
    pub key: &'static str,
    /// What holds where it is left out; empty where nothing does.
    pub default: &'static str,
    /// Whether its value is a secret, which is never printed.
    pub secret: bool,
    /// What it means, its unit and its range.
    pub help: &'static str,
}

const fn setting(key: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, default, secret: false, help }
}

const fn secret(key: &'static str, help: &'static str) -> Setting {
    Setting { key, default: "", secret: true, help }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("config", "", "The TOML file to read settings from (environment only)"),
    setting(
        "listen",
        "",
        "Where HTTP is served: an address and a port, port 0 for a free one; left out, 127.0.0.1:8080 for `up` and `server`, a free port of 127.0.0.1 for the other roles",
    ),
    setting("data_dir", ".pulsetrail", "Where `up` keeps its engines, secrets and logs"),
    secret("database_url", "PostgreSQL 15 or newer; left out, `up` starts a private one"),
    secret(
        "kafka_brokers",
        "Kafka brokers, host:port, comma-separated, behind user:password@ if they ask for SASL/PLAIN; left out, `up` starts a private one",
    ),
    secret(
        "clickhouse_url",
        "ClickHouse's HTTP interface, http://user:password@host:8123; left out, `up` starts a private one",
    ),
    setting(
        "clickhouse_database",
        "pulsetrail",
        "The ClickHouse database of the projections: a-z, 0-9 and _",
    ),
    setting(
        "topic_prefix",
        "pulsetrail",
        "What the names of topics and consumer groups begin with: a-z, 0-9, '-', '_' and '.'",
    ),
    setting("regions", "default", "The regions that monitors can be checked from, comma-separated"),
    setting(
        "egress_allow",
        "",
        "CIDR ranges that the shield lets through although it would refuse them, comma-separated",
    ),
    setting(
        "egress_deny",
        "",
        "Addresses (ip:port) of Pulsetrail's own that the shield refuses whatever is allowed, comma-separated; `up` adds its engines and listeners",
    ),
    setting(
        "trusted_roots",
        "",
        "A PEM file with certificates that checks trust besides Mozilla's and those of the machine (which SSL_CERT_FILE and SSL_CERT_DIR replace)",
    ),
    setting(
        "prober_concurrency",
        "1000",
        "Checks that one prober has under way at most, 1 to 100000",
    ),
    secret(
        "jwt_secret",
        "What access tokens are signed with, at least 32 bytes; `up` makes one and keeps it in the data directory",
    ),
    secret(
        "jwt_secret_previous",
        "The secret before `jwt_secret`: its tokens are good until they end, none is signed with it",
    ),
    secret(
        "secret_key",
        "What the secrets of checks are sealed with, at least 32 bytes without commas, the same for every server and prober; `up` makes one and keeps it in the data directory",
    ),
    secret(
        "secret_key_previous",
        "The keys before `secret_key`, comma-separated: what was sealed with them can still be opened",
    ),
    secret(
        "metrics_token",
        "What `/metrics` of every role is shown for, as a bearer token of at least 16 bytes; `up` makes one and keeps it in the data directory, and without one metrics are shown to nobody",
    ),
    setting(
        "access_token_seconds",
        "900",
        "How long an access token is good for, in seconds, 60 to 86400",
    ),
    setting(
        "registration",
        "open",
        "Who may register an account: open, or closed to all after the first",
    ),
    setting("session_days", "30", "How long a session lasts that is not used, in days, 1 to 365"),
    setting("argon2_memory_kib", "19456", "Memory of a password's hash, in KiB, 8192 to 1048576"),
    setting("argon2_iterations", "2", "Passes of a password's hash over its memory, 1 to 20"),
    setting("argon2_parallelism", "1", "Lanes of a password's hash, 1 to 16"),
    setting(
        "sign_ins_per_minute",
        "30",
        "Sign-ins to one account from one address, at all servers together, 1 to 100000",
    ),
    setting(
        "account_sign_ins_per_minute",
        "300",
        "Sign-ins to one account from all addresses that its person has not signed in from before, at all servers together, 1 to 1000000",
    ),
    setting(
        "attempts_per_minute",
        "300",
        "Sign-ins, registrations and bad credentials from one address, at all servers together, 1 to 1000000",
    ),
    setting(
        "session_requests_per_minute",
        "6000",
        "Requests with the access tokens of one session, at all servers together, 1 to 10000000",
    ),
    setting(
        "organization_reads_per_minute",
        "60000",
        "Requests of one organization that read, at all servers together, 1 to 10000000",
    ),
    setting(
        "organization_commands_per_minute",
        "60000",
        "Commands of one organization, each operation of a bulk call for itself, at all servers together, 1 to 10000000",
    ),
    setting(
        "organization_refusals_per_minute",
        "60",
        "Refusals of a target's address that the log of one organization takes, at all servers together; further targets are not judged, 1 to 100000",
    ),
    setting(
        "key_requests_per_minute",
        "6000",
        "Requests with one API key, at all servers together, 1 to 10000000",
    ),
    setting(
        "address_key_requests_per_minute",
        "60000",
        "Requests with API keys from one address, at all servers together, 1 to 10000000",
    ),
    setting(
        "monitors_per_organization",
        "100000",
        "Monitors that an organization may have at once, 1 to 10000000",
    ),
    setting(
        "live_connections_per_person",
        "2000",
        "Connections to the live feed that a person, or an API key, may have to one server, 1 to 1000000",
    ),
    setting(
        "connections_per_address",
        "1000",
        "Connections that one address may have to one process, 1 to 1000000; loopback and trusted proxies are limited only by the open files that the process may have",
    ),
    setting(
        "public_origin",
        "",
        "What browsers see, such as https://status.example.com; left out, the server itself",
    ),
    setting(
        "trusted_proxies",
        "",
        "CIDR ranges of the proxies whose X-Forwarded-For is believed, comma-separated",
    ),
    setting(
        "cors_origins",
        "",
        "Origins of other sites whose pages may use the interface, comma-separated; none by default",
    ),
    setting("url", "http://127.0.0.1:8080", "The interface that `watch` listens to"),
    secret("token", "What `watch` shows there: an access token or an API key"),
    setting("request_seconds", "30", "How long a request may take, in seconds, 1 to 600"),
    setting(
        "log",
        "info",
        "What is logged: off, error, warn, info, debug or trace, or a list such as info,pulsetrail_infra=debug",
    ),
    setting("log_format", "text", "How log lines are written: text or json"),
];

/// The settings of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where HTTP is served, if that was set.
    pub listen: Option<SocketAddr>,
    /// Where `up` keeps what it makes.
    pub data_dir: PathBuf,
    /// PostgreSQL; none for a private one.
    pub database_url: Option<SecretText>,
    /// Kafka; none for a private one.
    pub kafka_brokers: Option<SecretText>,
    /// ClickHouse; none for a private one.
    pub clickhouse_url: Option<SecretUrl>,
    /// The projections' database.
    pub clickhouse_database: String,
    /// The prefix of topics and consumer groups.
    pub topic_prefix: String,
    /// The installation's regions, at least one.
    pub regions: Vec<Region>,
    /// Exceptions from the shield's table.
    pub egress_allow: Vec<IpNet>,
    /// Addresses of Pulsetrail's own, refused whatever is allowed.
    pub egress_deny: Vec<SocketAddr>,
    /// A file of roots that checks trust besides the usual ones.
    pub trusted_roots: Option<PathBuf>,
    /// Checks under way at most.
    pub prober_concurrency: usize,
    /// What access tokens are signed with.
    pub jwt_secret: Option<SecretText>,
    /// What the secrets of checks are sealed with.
    pub secret_key: Option<SecretText>,
    /// What they were sealed with before.
    pub secret_key_previous: Vec<SecretText>,
    /// What metrics are shown for.
    pub metrics_token: Option<SecretText>,
    /// How long an access token is good for.
    pub access_token_seconds: u32,
    /// What tokens were signed with before.
    pub jwt_secret_previous: Option<SecretText>,
    /// How long a session lasts that is not used.
    pub session_days: u32,
    /// Memory of a password's hash, in KiB.
    pub argon2_memory_kib: u32,
    /// Passes of a password's hash.
    pub argon2_iterations: u32,
    /// Lanes of a password's hash.
    pub argon2_parallelism: u32,
    /// How often somebody may try to get in.
    pub rates: RateSettings,
    /// Monitors that an organization may have at once.
    pub monitors_per_organization: i64,
    /// Connections to the live feed that a person may have to one server.
    pub live_connections_per_person: NonZeroU32,
    /// Connections that one address may have to one process.
    pub connections_per_address: NonZeroU32,
    /// The way that requests come.
    pub ingress: Ingress,
    /// Other sites whose pages may use the interface.
    pub cors_origins: Vec<Origin>,
    /// The interface that a client of this program talks to.
    pub url: Option<Url>,
    /// What it shows there.
    pub token: Option<SecretText>,
    /// How long a request may take, in seconds.
    pub request_seconds: u32,
    /// Whether anybody may register an account.
    pub registration_open: bool,
    /// What is logged.
    pub log: LogFilter,
    /// How.
    pub log_format: LogFormat,
}

/// Settings that cannot be used: all mistakes, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

impl Settings {
    /// The ranges that the shield lets through beyond its table, for people to read; none where there
    /// are none.
    #[must_use]
    pub fn allowed_egress(&self) -> Option<String> {
        let ranges: Vec<String> = self.egress_allow.iter().map(ToString::to_string).collect();
        (!ranges.is_empty()).then(|| ranges.join(", "))
    }

    /// Reads the settings of this process.
    ///
    /// # Errors
    /// [`SettingsError`] with every mistake.
    pub fn load() -> Result<Self, SettingsError> {
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        Self::from_environment(environment)
    }

    /// Reads settings from the given variables and the file that they name.
    ///
    /// # Errors
    /// [`SettingsError`] with every mistake.
    pub fn from_environment(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        parse::settings(variables)
    }
}
