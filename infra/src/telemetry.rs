//! Logs: one line an event, on standard error.

mod calm;
mod filter;

use std::io::IsTerminal as _;

use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::calm::CalmKafka;
pub use self::filter::{InvalidLogFilter, LogFilter};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log what `filter` lets through.
pub fn install(filter: &LogFilter, format: LogFormat) {
    let filter = filter.to_env_filter();
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second installation, in tests, keeps the first.
    let _ = match format {
        LogFormat::Text => {
            registry.with(lines.with_target(false).with_filter(CalmKafka::new())).try_init()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            registry.with(lines.with_filter(CalmKafka::new())).try_init()
        }
    };
}
