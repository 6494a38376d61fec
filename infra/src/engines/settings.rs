//! What the caller decides about the engines, and what it learns from them.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::kafka::Brokers;

/// Which engines are external, and how private ones are run. It has no `Debug`: URLs hold passwords.
#[derive(Clone)]
pub struct EngineSettings {
    /// `PULSETRAIL_DATABASE_URL`; a private PostgreSQL is started when it is not set.
    pub database_url: Option<String>,
    /// `PULSETRAIL_KAFKA_BROKERS`, see [`Brokers`]; a private Kafka is started when it is not set.
    pub kafka_brokers: Option<String>,
    /// `PULSETRAIL_CLICKHOUSE_URL`; a private ClickHouse is started when it is not set.
    pub clickhouse_url: Option<String>,
    /// The program that serves the private ClickHouse, with its first arguments. Empty: this executable
    /// with the subcommand `chdb-server`.
    pub clickhouse_program: Vec<OsString>,
    /// Where `make engines` installed Kafka and libchdb. `None`: `pulsetrail/engines` in the user's cache.
    pub engines_dir: Option<PathBuf>,
    /// Settings of the private PostgreSQL beside our own and stronger than them, such as `("fsync", "off")`.
    pub postgres_options: Vec<(String, String)>,
    /// How long a private engine may take until it answers.
    pub start_timeout: Duration,
    /// How long an external engine may take to answer.
    pub external_timeout: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            database_url: None,
            kafka_brokers: None,
            clickhouse_url: None,
            clickhouse_program: Vec::new(),
            engines_dir: None,
            postgres_options: Vec::new(),
            start_timeout: Duration::from_secs(90),
            external_timeout: Duration::from_secs(10),
        }
    }
}

/// Where the engines are. The URLs hold passwords: `Debug` does not print them.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineUrls {
    /// `postgres://user:password@host:port/database`.
    pub database_url: String,
    /// `user:password@host:port`, see [`Brokers`].
    pub kafka_brokers: String,
    /// `http://user:password@host:port`; [`crate::clickhouse::client`] takes it apart.
    pub clickhouse_url: String,
}

impl fmt::Debug for EngineUrls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EngineUrls")
            .field("database_url", &address_of(&self.database_url))
            .field("kafka_brokers", &Brokers::from(&self.kafka_brokers))
            .field("clickhouse_url", &address_of(&self.clickhouse_url))
            .finish()
    }
}

/// The `host:port` of a URL, which may be shown; what is no URL is not shown at all.
pub(super) fn address_of(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return "(not a URL)".to_owned() };
    let port =
        url.port_or_known_default().or((url.scheme().starts_with("postgres")).then_some(5432));
    match (url.host_str(), port) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "(no host)".to_owned(),
    }
}

/// One of the three engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The event store.
    Postgres,
    /// The messages.
    Kafka,
    /// The analytics.
    ClickHouse,
}

impl Engine {
    /// The name of its folder, its log file and its label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::ClickHouse => "clickhouse",
        }
    }

    /// The setting that makes it external.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Postgres => "PULSETRAIL_DATABASE_URL",
            Self::Kafka => "PULSETRAIL_KAFKA_BROKERS",
            Self::ClickHouse => "PULSETRAIL_CLICKHOUSE_URL",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Postgres => "PostgreSQL",
            Self::Kafka => "Kafka",
            Self::ClickHouse => "ClickHouse",
        })
    }
}

/// What happens while the engines start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A private engine is being started.
    Starting {
        /// Which one.
        engine: Engine,
    },
    /// A private engine answers.
    Ready {
        /// Which one.
        engine: Engine,
        /// From the start of the whole until it answered.
        took: Duration,
    },
    /// An external engine answers.
    External {
        /// Which one.
        engine: Engine,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let urls = EngineUrls {
            database_url: "postgres://someone:secret@db.example:5433/pulsetrail".into(),
            kafka_brokers: "someone:secret@127.0.0.1:9092".into(),
            clickhouse_url: "http://someone:secret@127.0.0.1:8123".into(),
        };
        let shown = format!("{urls:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("db.example:5433"), "{shown}");
        assert_eq!(address_of("postgres://db.example/pulsetrail"), "db.example:5432");
    }
}
