//! Which log lines are written.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// The levels, from none to all.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level, or a list such as `info,pulsetrail_infra=debug` (the directives of
/// [`EnvFilter`], with a level in each).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// The text is no [`LogFilter`].
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be {}, or a list such as info,pulsetrail_infra=debug", LEVELS.join(", "))]
pub struct InvalidLogFilter;

impl LogFilter {
    /// What it lets through.
    pub(super) fn to_env_filter(&self) -> EnvFilter {
        // What Postgres remarks while the schema is applied is no news to an operator; the filter can ask
        // for it. No directive is invalid: each was parsed before.
        EnvFilter::builder().parse_lossy(format!("sqlx::postgres::notice=warn,{}", self.0))
    }
}

/// Nothing but errors, as [`EnvFilter`] has it.
impl Default for LogFilter {
    fn default() -> Self {
        Self("error".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `EnvFilter` takes a misspelt level for the name of a module and then logs nothing else.
        let has_level = |directive: &str| {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
            LEVELS.iter().any(|known| level.trim().eq_ignore_ascii_case(known))
        };
        let good = text.split(',').all(has_level) && EnvFilter::try_new(text).is_ok();
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidLogFilter) }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_names_a_level() {
        for text in [
            "info",
            "WARN",
            "off",
            "info,pulsetrail_infra=debug",
            "info, debug",
            "info,a::b[c]=trace",
        ] {
            assert_eq!(text.parse(), Ok(LogFilter(text.to_owned())), "{text}");
        }
        for text in
            ["loud", "", "info,", "info,loud", "info,a=loud", "a=", "pulsetrail", "a[b=debug"]
        {
            assert_eq!(text.parse::<LogFilter>(), Err(InvalidLogFilter), "{text}");
        }
        // The control: this is why `EnvFilter` alone is not asked.
        assert!(EnvFilter::try_new("loud").is_ok());
    }

    #[test]
    fn the_refusal_names_the_accepted_values() {
        let text = InvalidLogFilter.to_string();
        assert!(LEVELS.iter().all(|level| text.contains(level)), "{text}");
    }
}
