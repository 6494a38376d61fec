//! The body that says how a monitor is checked.

use std::collections::BTreeMap;

use pulsetrail_domain::Region;
use pulsetrail_domain::monitor::{
    HttpTarget, MonitorConfig, PatternBudget, Retries, ShortUrl, Target, TargetUrl, Violation,
};
use pulsetrail_infra::http::Problem;
use schemars::JsonSchema;
use serde_json::Value;
use url::Host;

use super::fields::{Fields, refuse_nul};
use super::secrets::Secrets;
use super::target_body;

const DEFAULT_INTERVAL_SECONDS: u32 = 60;
const DEFAULT_TIMEOUT_MS: u32 = 10_000;

/// How a monitor is to be checked: `{"url": …}` alone is enough. What is left out gets its default.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["url"]}, {"required": ["target"]}]))]
#[schemars(example = serde_json::json!({"url": "https://example.com"}))]
#[schemars(example = serde_json::json!({
    "name": "Shop", "target": {"type": "http", "url": "https://example.com/health"},
    "interval_seconds": 30, "confirmations": 2, "tags": {"team": "web"},
}))]
#[allow(dead_code, reason = "read field by field; this is what the document says")]
pub(crate) struct MonitorInput {
    /// What is requested, in short; or `target`. A bare host name is short for its https URL.
    url: Option<TargetUrl>,
    /// What is checked.
    target: Option<Target>,
    /// Labels: at most 50, keys of 1 to 64 and values of at most 256 characters.
    tags: Option<BTreeMap<String, String>>,
    #[schemars(flatten)]
    settings: MonitorSettings,
}

/// What is changed of a monitor (RFC 7396): what is left out stays, null brings the default back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"interval_seconds": 30, "tags": {"team": null}}))]
#[allow(dead_code, reason = "read field by field; this is what the document says")]
pub(crate) struct MonitorPatch {
    /// What is requested, in short; or `target`.
    url: Option<TargetUrl>,
    /// What of the target is changed.
    target: Option<serde_json::Map<String, Value>>,
    /// Labels that are set, or with null taken away: at most 50 in the end, keys of 1 to 64 and values of
    /// at most 256 characters.
    tags: Option<BTreeMap<String, Option<String>>>,
    #[schemars(flatten)]
    settings: MonitorSettings,
}

/// What both have in common.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "read field by field; this is what the document says")]
struct MonitorSettings {
    /// The name that people see; left out, the host.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// Seconds between two checks: at most 86,400, but between two reports of a heartbeat.
    #[schemars(range(min = 1, max = 2_678_400))]
    interval_seconds: Option<u32>,
    /// How long a check may take in all, in ms; not longer than the interval.
    #[schemars(range(min = 1, max = 300_000))]
    timeout_ms: Option<u32>,
    /// How a check tries again before it reports a failure.
    retries: Option<Retries>,
    /// Failed checks in a row that make a region failing.
    #[schemars(range(min = 1, max = 20))]
    confirmations: Option<u32>,
    /// Where it is checked from: regions that the installation has, each once.
    #[schemars(length(min = 1, max = 20))]
    regions: Option<Vec<Region>>,
    /// Failing regions that make it down; left out, a majority.
    #[schemars(range(min = 1, max = 20))]
    quorum: Option<u32>,
}

/// What a body says, and where it says what is checked.
#[derive(Debug)]
pub(super) struct ParsedBody {
    /// How the monitor is checked, with every default.
    pub(super) config: MonitorConfig,
    /// Where the URL stands, as a JSON pointer: `/url` in the short form, else `/target/url`.
    pub(super) url_pointer: &'static str,
    /// What of it is secret.
    pub(super) secrets: Secrets,
}

/// The URL's place in the short form.
pub(super) const SHORT_URL: &str = "/url";
/// The URL's place in the full form.
pub(super) const FULL_URL: &str = "/target/url";

/// Reads a body: `{"url": …}`, or every field of section 7 with `target` in the place of `url`. The bodies of one
/// request share what their patterns may cost.
///
/// # Errors
/// 422 with every mistake: fields of another type, unknown ones, and values outside their limits.
pub(super) fn read_within(
    body: Value,
    patterns: &mut PatternBudget,
) -> Result<ParsedBody, Problem> {
    read_over(body, None, patterns)
}

/// The same of a body alone.
#[cfg(test)]
pub(super) fn read(body: Value) -> Result<ParsedBody, Problem> {
    read_within(body, &mut PatternBudget::default())
}

/// The same of a change: it may refer to the secrets of the monitor as it was before.
pub(super) fn read_change(body: Value, before: &MonitorConfig) -> Result<ParsedBody, Problem> {
    read_over(body, Some(before), &mut PatternBudget::default())
}

fn read_over(
    body: Value,
    before: Option<&MonitorConfig>,
    patterns: &mut PatternBudget,
) -> Result<ParsedBody, Problem> {
    let mut violations = Vec::new();
    refuse_nul(&body, "", &mut violations);
    let mut secrets = Secrets::default();
    let (config, url_pointer) = config(body, &mut secrets, &mut violations);
    if let Some(config) = &config {
        violations.extend(secrets.misplaced(config, before));
        // A limit is checked where the value could be read: each place is named once.
        for mut violation in config.validate_within(patterns) {
            if violation.pointer == FULL_URL {
                violation.pointer = url_pointer.to_owned();
            }
            if !violations.iter().any(|other| other.pointer == violation.pointer) {
                violations.push(violation);
            }
        }
    }
    match config {
        Some(config) if violations.is_empty() => Ok(ParsedBody { config, url_pointer, secrets }),
        _ => Err(Problem::invalid(violations)),
    }
}

/// The configuration in `body`; none where it is no object. Where a value cannot be read another one
/// stands in for it, beside the violation, so that the limits of the others are checked all the same.
fn config(
    body: Value,
    secrets: &mut Secrets,
    violations: &mut Vec<Violation>,
) -> (Option<MonitorConfig>, &'static str) {
    let Some(mut fields) = Fields::of(body, "", violations) else { return (None, FULL_URL) };
    let name = fields.take::<String>("name");
    let interval_seconds = fields.take("interval_seconds").unwrap_or(DEFAULT_INTERVAL_SECONDS);
    let longest_ms = interval_seconds.saturating_mul(1_000);
    let timeout_ms = fields.take("timeout_ms").unwrap_or(DEFAULT_TIMEOUT_MS.min(longest_ms));
    let retries = fields.take::<Retries>("retries").unwrap_or_default();
    let confirmations = fields.take("confirmations").unwrap_or(1);
    let regions = fields.take("regions").unwrap_or_else(|| vec![Region::default()]);
    let quorum = fields.take("quorum");
    let tags = fields.take("tags").unwrap_or_default();
    let has_url = fields.has("url");
    let has_target = fields.has("target");
    let url_pointer = if has_url { SHORT_URL } else { FULL_URL };
    let url = fields.take::<ShortUrl>("url").map(|url| url.0);
    let described = fields.take::<Value>("target");
    match (has_url, has_target) {
        (true, true) => fields.refuse("url", "says again what target says: give one of them"),
        (false, false) => fields.refuse("url", "is needed, or target in its place"),
        _ => {}
    }
    fields.finish();
    let target = match (url, described) {
        (Some(url), None) => Some(Target::Http(HttpTarget::get(url))),
        (None, Some(described)) => target_body::read(described, secrets, violations),
        _ => None,
    };
    let stand_in = || stand_in_url().map(|url| Target::Http(HttpTarget::get(url)));
    let config = target.or_else(stand_in).map(|target| MonitorConfig {
        name: name.map_or_else(|| default_name(&target), |name| name.trim().to_owned()),
        target,
        interval_seconds,
        timeout_ms,
        retries,
        confirmations,
        regions,
        quorum,
        tags,
    });
    (config, url_pointer)
}

/// Stands in for a URL that is missing or cannot be read; RFC 6761 keeps `.invalid` for nobody.
pub(super) fn stand_in_url() -> Option<TargetUrl> {
    TargetUrl::try_from("http://stand-in.invalid".to_owned()).ok()
}

/// The name of a monitor that was given none: its host, and the port where that is not the scheme's.
fn default_name(target: &Target) -> String {
    let name = match target {
        Target::Http(http) => {
            let url = http.url.url();
            let host = url.host().as_ref().map(Host::to_string).unwrap_or_default();
            url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
        }
        Target::Tls(tls) if tls.port == 443 => tls.host.to_string(),
        other => other.summary().into_owned(),
    };
    // A name has at most 200 characters, a host 253.
    name.chars().take(200).collect()
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
