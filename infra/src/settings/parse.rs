//! From what was given to settings, gathering every mistake.

use std::path::PathBuf;
use std::str::FromStr;

use super::given::Given;
use super::{Origin, Settings, SettingsError};
use crate::http::{Ingress, RateSettings};
use crate::secrets::{SecretText, SecretUrl};
use crate::telemetry::LogFormat;

pub(super) fn settings(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    let mut given = Given::read(variables);
    let settings = all(&mut given);
    if given.faults.is_empty() { Ok(settings) } else { Err(SettingsError(given.faults)) }
}

/// The settings that were given; they can be used if no fault was found.
pub(super) fn all(given: &mut Given) -> Settings {
    let settings = Settings {
        listen: given.optional("listen", |text| {
            text.parse().map_err(|_| "must be an address and a port".to_owned())
        }),
        data_dir: given.parsed::<PathBuf>("data_dir"),
        database_url: given.optional("database_url", |text| {
            let url = url::Url::parse(text).map_err(|error| error.to_string())?;
            matches!(url.scheme(), "postgres" | "postgresql")
                .then(|| SecretText::from(text.to_owned()))
                .ok_or_else(|| "must begin with postgres://".to_owned())
        }),
        kafka_brokers: given
            .optional("kafka_brokers", |text| Ok(SecretText::from(text.to_owned()))),
        clickhouse_url: given.optional("clickhouse_url", |text| {
            let url = url::Url::parse(text).map_err(|error| error.to_string())?;
            matches!(url.scheme(), "http" | "https")
                .then(|| SecretUrl::from(url))
                .ok_or_else(|| "must begin with http:// or https://".to_owned())
        }),
        clickhouse_database: given.name("clickhouse_database", "_"),
        topic_prefix: given.name("topic_prefix", "-_."),
        regions: given.list("regions"),
        egress_allow: given.list("egress_allow"),
        egress_deny: given.list("egress_deny"),
        trusted_roots: given.optional("trusted_roots", |text| Ok(text.into())),
        prober_concurrency: given.within("prober_concurrency", 1, 100_000),
        jwt_secret: given.optional("jwt_secret", signing_secret),
        jwt_secret_previous: given.optional("jwt_secret_previous", signing_secret),
        secret_key: given.optional("secret_key", |text| text.parse().map(|SealingKey(key)| key)),
        secret_key_previous: given
            .list::<SealingKey>("secret_key_previous")
            .into_iter()
            .map(|key| key.0)
            .collect(),
        metrics_token: given.optional("metrics_token", |text| {
            (text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic()))
                .then(|| SecretText::from(text.to_owned()))
                .ok_or_else(|| "must have at least 16 bytes, none but printable ASCII".to_owned())
        }),
        session_days: given.within("session_days", 1, 365),
        argon2_memory_kib: given.within("argon2_memory_kib", 8_192, 1_048_576),
        argon2_iterations: given.within("argon2_iterations", 1, 20),
        argon2_parallelism: given.within("argon2_parallelism", 1, 16),
        rates: RateSettings {
            sign_ins_a_minute: given.at_least_one("sign_ins_per_minute", 100_000),
            account_sign_ins_a_minute: given.at_least_one("account_sign_ins_per_minute", 1_000_000),
            attempts_a_minute: given.at_least_one("attempts_per_minute", 1_000_000),
            session_requests_a_minute: given
                .at_least_one("session_requests_per_minute", 10_000_000),
            organization_reads_a_minute: given
                .at_least_one("organization_reads_per_minute", 10_000_000),
            organization_commands_a_minute: given
                .at_least_one("organization_commands_per_minute", 10_000_000),
            organization_refusals_a_minute: given
                .at_least_one("organization_refusals_per_minute", 100_000),
            key_requests_a_minute: given.at_least_one("key_requests_per_minute", 10_000_000),
            address_key_requests_a_minute: given
                .at_least_one("address_key_requests_per_minute", 10_000_000),
        },
        monitors_per_organization: given.within("monitors_per_organization", 1, 10_000_000),
        live_connections_per_person: given.at_least_one("live_connections_per_person", 1_000_000),
        connections_per_address: given.at_least_one("connections_per_address", 1_000_000),
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
        token: given.optional("token", |text| Ok(SecretText::from(text.to_owned()))),
        request_seconds: given.within("request_seconds", 1, 600),
        access_token_seconds: given.within("access_token_seconds", 60, 86_400),
        registration_open: given.choice("registration", &[("open", true), ("closed", false)]),
        log: given.parsed("log"),
        log_format: given
            .choice("log_format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]),
    };
    if given.get("regions").1.split(',').all(|name| name.trim().is_empty()) {
        given.fault("regions", "must name at least one");
    }
    settings
}

fn signing_secret(text: &str) -> Result<SecretText, String> {
    if text.len() >= 32 {
        Ok(text.to_owned().into())
    } else {
        Err("must have at least 32 bytes".to_owned())
    }
}

/// A key that secrets are sealed with. It can stand in a list.
struct SealingKey(SecretText);

impl FromStr for SealingKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(|one: char| one == ',' || one.is_whitespace()) {
            return Err("must have no comma and no white space".to_owned());
        }
        signing_secret(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SETTINGS;
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
            ("PULSETRAIL_SECRET_KEY", "hunter2"),
            ("PULSETRAIL_SECRET_KEY_PREVIOUS", "0123456789abcdef0123456789abcdef,hunter2"),
            ("PULSETRAIL_LISTNE", "127.0.0.1:1"),
            ("PULSETRAIL_LOG_FORMAT", "xml"),
            ("PULSETRAIL_LOG", "loud"),
        ])
        .unwrap_err();
        let text = error.to_string();
        for name in [
            "LISTEN",
            "REGIONS",
            "EGRESS_ALLOW",
            "JWT_SECRET",
            "SECRET_KEY",
            "SECRET_KEY_PREVIOUS",
            "LISTNE",
            "LOG_FORMAT",
            "LOG",
        ] {
            assert!(text.contains(&format!("PULSETRAIL_{name}:")), "{name} in {text}");
        }
        assert_eq!(error.0.len(), 9, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn no_secret_is_printed_by_debug() {
        const CANARY: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";
        let secrets = SETTINGS.iter().filter(|setting| setting.secret);
        let value = |key: &str| match key {
            "database_url" => format!("postgres://user:{CANARY}@db/x"),
            "clickhouse_url" => format!("http://user:{CANARY}@clickhouse:8123"),
            _ => CANARY.to_owned(),
        };
        let variables = secrets.map(|setting| {
            (format!("PULSETRAIL_{}", setting.key.to_uppercase()), value(setting.key))
        });
        let variables: Vec<_> = variables.collect();
        assert!(variables.len() >= 7, "{variables:?}");
        let printed = format!("{:?}", settings(variables).unwrap());
        assert!(!printed.contains(CANARY), "{printed}");
        // The control: what is no secret is printed.
        let printed = format!("{:?}", load(&[("PULSETRAIL_TRUSTED_ROOTS", CANARY)]).unwrap());
        assert!(printed.contains(CANARY), "{printed}");
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
