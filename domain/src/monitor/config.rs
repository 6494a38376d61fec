//! How a monitor is checked, and the limits on that.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::targets::{PatternBudget, Target};
use crate::Region;
use crate::health::HeartbeatPolicy;
use crate::text::has_hidden_character;

/// What is said of a text with a character that nobody sees.
const HIDDEN: &str = "must have no invisible characters";

/// The longest [`MonitorConfig::timeout_ms`], also if the interval is longer. A prober keeps a place for a check as long as it takes, so that
/// this bounds what a monitor can hold.
pub const LONGEST_TIMEOUT_MS: u32 = 300_000;
/// The longest time between two checks, in seconds: a day.
const MAX_INTERVAL_SECONDS: u32 = 86_400;
/// The longest time between two reports of a heartbeat, in seconds: 31 days.
const MAX_HEARTBEAT_SECONDS: u32 = 31 * 86_400;

/// Everything that can be set on a monitor. A value of this type obeys every limit only after
/// [`MonitorConfig::validate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitorConfig {
    /// The name that people see: 1 to 200 characters.
    pub name: String,
    /// What is checked.
    pub target: Target,
    /// Seconds between two checks: 1 to 86,400; between two reports of a heartbeat, 1 to 2,678,400 (31
    /// days).
    pub interval_seconds: u32,
    /// How long a check may take in all, in ms: 1 to the interval.
    pub timeout_ms: u32,
    /// How a check tries again before it reports a failure.
    pub retries: Retries,
    /// How many checks of a region fail in a row before the region counts as failing: 1 to 20.
    pub confirmations: u32,
    /// Where it is checked from: 1 to 20, each once.
    pub regions: Vec<Region>,
    /// How many failing regions make the monitor down; a majority where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// Labels: at most 50, keys of 1 to 64 and values of at most 256 characters.
    pub tags: BTreeMap<String, String>,
}

/// Attempts within one check, with exponential back-off between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// Attempts in all, 1 to 10.
    pub max_attempts: u32,
    /// The longest wait before the second attempt, in ms: 1 to 60,000.
    pub initial_backoff_ms: u32,
    /// How much longer the wait grows with each attempt, 1 to 10.
    pub multiplier: u32,
    /// The longest wait, in ms: `initial_backoff_ms` to 60,000.
    pub max_backoff_ms: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { max_attempts: 1, initial_backoff_ms: 200, multiplier: 2, max_backoff_ms: 5_000 }
    }
}

/// One value outside its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Violation {
    /// Where, as a JSON pointer (RFC 6901) into the monitor's body.
    pub pointer: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl Violation {
    /// A violation at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl MonitorConfig {
    /// The interval in ms.
    #[must_use]
    pub fn interval_ms(&self) -> i64 {
        i64::from(self.interval_seconds) * 1_000
    }

    /// How long a result counts as its region's vote, in ms: two intervals and the timeout, or as long as
    /// a heartbeat's report does.
    #[must_use]
    pub fn valid_for_ms(&self) -> i64 {
        match HeartbeatPolicy::of(self) {
            Some(heartbeat) => heartbeat.valid_for_ms(),
            None => 2 * self.interval_ms() + i64::from(self.timeout_ms),
        }
    }

    /// How many failing regions make the monitor down.
    #[must_use]
    pub fn quorum(&self) -> u32 {
        let majority = u32::try_from(self.regions.len() / 2 + 1).unwrap_or(u32::MAX);
        self.quorum.unwrap_or(majority)
    }

    /// Every value outside its limits; empty when all is well. A region that the installation does
    /// not have is the caller's to find.
    #[must_use]
    pub fn validate(&self) -> Vec<Violation> {
        self.validate_within(&mut PatternBudget::default())
    }

    /// The same where several monitors of one request share what their patterns may cost.
    #[must_use]
    pub fn validate_within(&self, patterns: &mut PatternBudget) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut check = |good: bool, pointer: &str, detail: &str| {
            if !good {
                violations.push(Violation::new(pointer, detail));
            }
        };
        let name_length = self.name.trim().chars().count();
        check((1..=200).contains(&name_length), "/name", "must have 1 to 200 characters");
        check(!has_hidden_character(&self.name), "/name", HIDDEN);
        let (longest, detail) = match self.target {
            Target::Heartbeat(_) => (MAX_HEARTBEAT_SECONDS, "must be 1 to 2678400"),
            _ => (MAX_INTERVAL_SECONDS, "must be 1 to 86400, and more only for heartbeats"),
        };
        check((1..=longest).contains(&self.interval_seconds), "/interval_seconds", detail);
        check(
            (1..=LONGEST_TIMEOUT_MS).contains(&self.timeout_ms)
                && i64::from(self.timeout_ms) <= self.interval_ms(),
            "/timeout_ms",
            "must be at least 1, at most the interval and at most 300000",
        );
        let retries = &self.retries;
        check((1..=10).contains(&retries.max_attempts), "/retries/max_attempts", "must be 1 to 10");
        check((1..=10).contains(&retries.multiplier), "/retries/multiplier", "must be 1 to 10");
        check(
            (1..=60_000).contains(&retries.initial_backoff_ms),
            "/retries/initial_backoff_ms",
            "must be 1 to 60000",
        );
        check(
            (retries.initial_backoff_ms..=60_000).contains(&retries.max_backoff_ms),
            "/retries/max_backoff_ms",
            "must be initial_backoff_ms to 60000",
        );
        check((1..=20).contains(&self.confirmations), "/confirmations", "must be 1 to 20");
        let distinct = self.regions.iter().collect::<BTreeSet<_>>().len();
        check(
            (1..=20).contains(&self.regions.len()) && distinct == self.regions.len(),
            "/regions",
            "must name 1 to 20 regions, each once",
        );
        check(
            self.quorum.is_none_or(|quorum| quorum >= 1 && quorum as usize <= self.regions.len()),
            "/quorum",
            "must be at least 1 and at most the number of regions",
        );
        let tag_is_good = |(key, value): (&String, &String)| {
            (1..=64).contains(&key.chars().count()) && value.chars().count() <= 256
        };
        check(
            self.tags.len() <= 50 && self.tags.iter().all(tag_is_good),
            "/tags",
            "must be at most 50, with keys of 1 to 64 and values of at most 256 characters",
        );
        let hides = |(key, value): (&String, &String)| {
            has_hidden_character(key) || has_hidden_character(value)
        };
        check(!self.tags.iter().any(hides), "/tags", HIDDEN);
        self.target.validate(patterns, &mut violations);
        violations
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::targets::{HttpTarget, TargetUrl};
    use super::*;

    pub(crate) fn config() -> MonitorConfig {
        let url = TargetUrl::try_from("https://example.com".to_owned()).unwrap();
        MonitorConfig {
            name: "example".to_owned(),
            target: Target::Http(HttpTarget::get(url)),
            interval_seconds: 60,
            timeout_ms: 10_000,
            retries: Retries::default(),
            confirmations: 1,
            regions: vec![Region::default()],
            quorum: None,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let mut config = config();
        assert_eq!(config.validate(), []);
        config.name = "  ".to_owned();
        config.interval_seconds = 0;
        config.confirmations = 0;
        config.regions.push(Region::default());
        config.quorum = Some(3);
        let Target::Http(http) = &mut config.target else { panic!("another kind") };
        http.headers.insert("Authorization".to_owned(), "Bearer x".to_owned());
        http.headers.insert("x\r\ny".to_owned(), String::new());
        let violations = config.validate();
        let pointers: Vec<&str> = violations.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/interval_seconds",
                "/timeout_ms",
                "/confirmations",
                "/regions",
                "/quorum",
                "/target/headers/Authorization",
                "/target/headers/x\r\ny",
            ]
        );
    }

    #[test]
    fn a_name_or_a_tag_with_a_character_that_nobody_sees_is_refused() {
        let pointers = |name: &str, tag: &str| -> Vec<String> {
            let tags = BTreeMap::from([("team".to_owned(), tag.to_owned())]);
            let config = MonitorConfig { name: name.to_owned(), tags, ..config() };
            config.validate().into_iter().map(|fault| fault.pointer).collect()
        };
        assert_eq!(pointers("Shop\u{202e}gnp", "a\u{200b}b"), ["/name", "/tags"]);
        assert!(pointers("Läden 👩🏽\u{200d}💻", "grün").is_empty());
    }

    #[test]
    fn a_timeout_is_bounded_by_the_interval_and_by_five_minutes() {
        let is_valid = |interval_seconds, timeout_ms| {
            MonitorConfig { interval_seconds, timeout_ms, ..config() }.validate().is_empty()
        };
        assert!(is_valid(1, 1_000) && !is_valid(1, 1_001) && !is_valid(1, 0));
        assert!(is_valid(3_600, 300_000) && !is_valid(3_600, 300_001));
    }

    #[test]
    fn the_quorum_is_a_majority_unless_set() {
        let mut config = config();
        let expected = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)];
        for (count, quorum) in expected {
            config.regions = (0..count).map(|n| format!("r{n}").parse().unwrap()).collect();
            assert_eq!(config.quorum(), quorum, "{count} regions");
        }
    }
}
