//! From texts to settings, gathering every mistake.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::Value;

use super::{Origin, SETTINGS, Settings, SettingsError};
use crate::http::{Ingress, RateSettings};
use crate::telemetry::LogFormat;

const PREFIX: &str = "PULSETRAIL_";

pub(super) fn settings(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    let mut given = Given::default();
    let mut environment = BTreeMap::new();
    for (variable, value) in variables {
        if let Some(key) = variable.strip_prefix(PREFIX) {
            environment.insert(key.to_lowercase(), (variable.clone(), value));
        }
    }
    if let Some((_, file)) = environment.get("config") {
        given.read_file(file);
    }
    for (key, (source, value)) in environment {
        given.add(&key, source, value);
    }
    let settings = Settings {
        listen: given.optional("listen", |text| {
            text.parse().map_err(|_| "must be an address and a port".to_owned())
        }),
        data_dir: given.parsed::<PathBuf>("data_dir"),
        database_url: given.optional("database_url", |text| {
            let url = url::Url::parse(text).map_err(|error| error.to_string())?;
            matches!(url.scheme(), "postgres" | "postgresql")
                .then(|| text.to_owned())
                .ok_or_else(|| "must begin with postgres://".to_owned())
        }),
        kafka_brokers: given.optional("kafka_brokers", |text| Ok(text.to_owned())),
        clickhouse_url: given.optional("clickhouse_url", |text| {
            let url = url::Url::parse(text).map_err(|error| error.to_string())?;
            matches!(url.scheme(), "http" | "https")
                .then_some(url)
                .ok_or_else(|| "must begin with http:// or https://".to_owned())
        }),
        clickhouse_database: given.name("clickhouse_database", "_"),
        topic_prefix: given.name("topic_prefix", "-_."),
        regions: given.list("regions"),
        egress_allow: given.list("egress_allow"),
        egress_deny: given.list("egress_deny"),
        prober_concurrency: given.within("prober_concurrency", 1, 100_000),
        jwt_secret: given.optional("jwt_secret", signing_secret),
        jwt_secret_previous: given.optional("jwt_secret_previous", signing_secret),
        session_days: given.within("session_days", 1, 365),
        argon2_memory_kib: given.within("argon2_memory_kib", 8_192, 1_048_576),
        argon2_iterations: given.within("argon2_iterations", 1, 20),
        argon2_parallelism: given.within("argon2_parallelism", 1, 16),
        rates: RateSettings {
            sign_ins_a_minute: given.at_least_one("sign_ins_per_minute", 100_000),
            attempts_a_minute: given.at_least_one("attempts_per_minute", 1_000_000),
            key_requests_a_minute: given.at_least_one("key_requests_per_minute", 10_000_000),
            address_key_requests_a_minute: given
                .at_least_one("address_key_requests_per_minute", 10_000_000),
        },
        monitors_per_organization: given.within("monitors_per_organization", 1, 10_000_000),
        live_connections_per_person: given.at_least_one("live_connections_per_person", 1_000_000),
        ingress: Ingress {
            trusted_proxies: given.list("trusted_proxies"),
            public_origin: given.optional("public_origin", |text| {
                let origin = text.parse::<Origin>().map_err(|fault| fault.to_string())?;
                Ok(origin.as_str().to_owned())
            }),
        },
        cors_origins: given.list("cors_origins"),
        url: given
            .optional("url", |text| text.parse::<url::Url>().map_err(|fault| fault.to_string())),
        token: given.optional("token", |text| Ok::<_, String>(text.to_owned())),
        request_seconds: given.within("request_seconds", 1, 600),
        access_token_seconds: given.within("access_token_seconds", 60, 86_400),
        registration_open: given.choice("registration", &[("open", true), ("closed", false)]),
        log: given.parsed::<String>("log"),
        log_format: given
            .choice("log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
    };
    if given.get("regions").1.split(',').all(|name| name.trim().is_empty()) {
        given.fault("regions", "must name at least one");
    }
    if given.faults.is_empty() { Ok(settings) } else { Err(SettingsError(given.faults)) }
}

/// What was given, and what is wrong with it.
#[derive(Default)]
struct Given {
    /// By key: where it comes from, and its text.
    values: BTreeMap<String, (String, String)>,
    faults: Vec<String>,
}

impl Given {
    fn read_file(&mut self, file: &str) {
        let read: Result<BTreeMap<String, Value>, _> =
            Figment::from(Toml::file_exact(file)).extract();
        match read {
            Ok(values) => {
                for (key, value) in values {
                    let text = match &value {
                        Value::Array(_, items) => {
                            items.iter().filter_map(as_text).collect::<Vec<_>>().join(",")
                        }
                        other => as_text(other).unwrap_or_default(),
                    };
                    self.add(&key, format!("{key} in {file}"), text);
                }
            }
            Err(error) => self.faults.push(format!("{PREFIX}CONFIG: {file}: {error}")),
        }
    }

    fn add(&mut self, key: &str, source: String, value: String) {
        if SETTINGS.iter().any(|setting| setting.key == key) {
            self.values.insert(key.to_owned(), (source, value));
        } else {
            self.faults.push(format!("{source}: there is no such setting"));
        }
    }

    /// What is in force for a key: where it comes from, and its text.
    fn get(&self, key: &str) -> (String, String) {
        let variable = || format!("{PREFIX}{}", key.to_uppercase());
        let default = || {
            SETTINGS.iter().find(|setting| setting.key == key).map_or("", |setting| setting.default)
        };
        self.values.get(key).cloned().unwrap_or_else(|| (variable(), default().to_owned()))
    }

    fn fault(&mut self, key: &str, what: impl Display) {
        let (source, value) = self.get(key);
        let secret = SETTINGS.iter().any(|setting| setting.key == key && setting.secret);
        self.faults.push(if secret {
            format!("{source}: {what}")
        } else {
            format!("{source}: {what} (it is {value:?})")
        });
    }

    fn optional<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (_, text) = self.get(key);
        if text.is_empty() {
            return None;
        }
        parse(&text).map_err(|fault| self.fault(key, fault)).ok()
    }

    fn parsed<T: FromStr + Fallback>(&mut self, key: &str) -> T
    where
        T::Err: Display,
    {
        let (_, text) = self.get(key);
        text.parse().unwrap_or_else(|fault| {
            self.fault(key, fault);
            T::fallback()
        })
    }

    fn list<T: FromStr>(&mut self, key: &str) -> Vec<T>
    where
        T::Err: Display,
    {
        let (_, text) = self.get(key);
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items
            .filter_map(|item| match item.parse() {
                Ok(item) => Some(item),
                Err(fault) => {
                    self.fault(key, fault);
                    None
                }
            })
            .collect()
    }

    fn within<T: FromStr + PartialOrd + Display + Copy>(
        &mut self,
        key: &str,
        low: T,
        high: T,
    ) -> T {
        let (_, text) = self.get(key);
        match text.parse() {
            Ok(value) if low <= value && value <= high => value,
            _ => {
                self.fault(key, format!("must be a number from {low} to {high}"));
                low
            }
        }
    }

    fn at_least_one(&mut self, key: &str, high: u32) -> NonZeroU32 {
        NonZeroU32::new(self.within(key, 1, high)).unwrap_or(NonZeroU32::MIN)
    }

    fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let (_, text) = self.get(key);
        let chosen = choices.iter().find(|(name, _)| *name == text);
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fault(key, format!("must be {}", names.join(" or ")));
        }
        // `choices` is never empty: the fault above ends the start in any case.
        chosen.unwrap_or(&choices[0]).1
    }

    fn name(&mut self, key: &str, also: &str) -> String {
        let (_, text) = self.get(key);
        let allowed =
            |byte: char| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also.contains(byte);
        if !(1..=100).contains(&text.len()) || !text.chars().all(allowed) {
            self.fault(key, format!("must be 1 to 100 of a-z, 0-9 and any of {also:?}"));
        }
        text
    }
}

fn signing_secret(text: &str) -> Result<String, String> {
    if text.len() >= 32 {
        Ok(text.to_owned())
    } else {
        Err("must have at least 32 bytes".to_owned())
    }
}

/// A value to go on with after a fault, so that the other faults are found too.
trait Fallback {
    fn fallback() -> Self;
}

impl Fallback for PathBuf {
    fn fallback() -> Self {
        Self::new()
    }
}

impl Fallback for String {
    fn fallback() -> Self {
        Self::new()
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, flag) => Some(flag.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|n| n.to_string())
            .or_else(|| number.to_f64().map(|n| n.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        settings(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn nothing_set_is_the_defaults() {
        let settings = load(&[("PATH", "/bin")]).unwrap();
        assert_eq!(settings.listen, None);
        assert_eq!(settings.regions.len(), 1);
        assert!(settings.database_url.is_none() && settings.egress_allow.is_empty());
    }

    #[test]
    fn every_mistake_is_named_at_once_and_no_secret_is_printed() {
        let error = load(&[
            ("PULSETRAIL_LISTEN", "nowhere"),
            ("PULSETRAIL_REGIONS", "eu,US"),
            ("PULSETRAIL_EGRESS_ALLOW", "10.0.0.0/99"),
            ("PULSETRAIL_JWT_SECRET", "hunter2"),
            ("PULSETRAIL_LISTNE", "127.0.0.1:1"),
            ("PULSETRAIL_LOG_FORMAT", "xml"),
        ])
        .unwrap_err();
        let text = error.to_string();
        for name in ["LISTEN", "REGIONS", "EGRESS_ALLOW", "JWT_SECRET", "LISTNE", "LOG_FORMAT"] {
            assert!(text.contains(&format!("PULSETRAIL_{name}:")), "{name} in {text}");
        }
        assert_eq!(error.0.len(), 6, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_variable_wins_over_the_file() {
        let file = std::env::temp_dir().join(format!("pulsetrail-{}.toml", std::process::id()));
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nregions = [\"eu\", \"us\"]\n").unwrap();
        let path = file.to_str().unwrap();
        let settings =
            load(&[("PULSETRAIL_CONFIG", path), ("PULSETRAIL_LISTEN", "127.0.0.1:2")]).unwrap();
        std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
        let unknown = load(&[("PULSETRAIL_CONFIG", path)]).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(settings.listen.unwrap().port(), 2);
        assert_eq!(settings.regions.len(), 2);
        assert!(unknown.contains("lisen in"), "{unknown}");
    }
}
