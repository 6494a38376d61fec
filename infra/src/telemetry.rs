//! Logs: one line an event, on standard error.

mod calm;

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer as _};

use self::calm::CalmKafka;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. `filter` is a level, or a list such as `info,pulsetrail_infra=debug`.
///
/// # Errors
/// When `filter` is not one.
pub fn install(
    filter: &str,
    format: LogFormat,
) -> Result<(), tracing_subscriber::filter::ParseError> {
    // What Postgres remarks while the schema is applied is no news to an operator; `filter` can ask for it.
    let filter = EnvFilter::try_new(format!("sqlx::postgres::notice=warn,{filter}"))?;
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
    Ok(())
}
