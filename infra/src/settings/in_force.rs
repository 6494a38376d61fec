//! What is in force, for people and programs to read.

use std::fmt::Write as _;

use serde::Serialize;

use super::given::{Given, PREFIX};
use super::{SETTINGS, parse};

/// A setting as it is in force.
#[derive(Debug, Serialize)]
pub struct InForce {
    /// The variable of the environment.
    pub name: String,
    /// The value; none if nothing holds, `[secret]` for a secret.
    pub value: Option<String>,
    /// Where the value comes from: a variable, `<key> in <file>`, or `default`.
    pub source: String,
    /// Whether the value is a secret, which is not shown.
    pub secret: bool,
    /// The value if nothing is set; none if nothing holds then.
    pub default: Option<&'static str>,
    /// The meaning, unit and range.
    pub help: &'static str,
}

/// Every setting as the given variables, and the file that they name, have it; and each mistake.
#[must_use]
pub fn in_force(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Vec<InForce>, Vec<String>) {
    let mut given = Given::read(variables);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let of_setting = |given: &Given, setting: &'static super::Setting| {
        let source = given.source(setting.key).map_or_else(|| "default".to_owned(), str::to_owned);
        let value = some(&given.get(setting.key).1);
        InForce {
            name: format!("{PREFIX}{}", setting.key.to_uppercase()),
            value: if setting.secret { value.map(|_| "[secret]".to_owned()) } else { value },
            source,
            secret: setting.secret,
            default: (!setting.default.is_empty()).then_some(setting.default),
            help: setting.help,
        }
    };
    let all = SETTINGS.iter().map(|setting| of_setting(&given, setting)).collect();
    parse::all(&mut given);
    (all, given.faults)
}

/// The settings as text: of each its value and where that comes from, and its meaning.
#[must_use]
pub fn as_text(settings: &[InForce]) -> String {
    settings.iter().fold(String::new(), |mut text, setting| {
        let InForce { name, value, source, help, .. } = setting;
        // Writing to a string cannot fail.
        let _ = match value {
            Some(value) => writeln!(text, "{name}={value}  ({source})\n    {help}"),
            None => writeln!(text, "{name} is not set\n    {help}"),
        };
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> (Vec<InForce>, Vec<String>) {
        in_force(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    fn line<'a>(text: &'a str, name: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(name)).unwrap()
    }

    #[test]
    fn each_value_is_shown_with_its_source_and_no_secret_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "regions = [\"eu\", \"us\"]\nlog = \"warn\"\n").unwrap();
        let path = file.to_str().unwrap();
        let secret = "hunter2-hunter2-hunter2-hunter2-hunter2";
        let (settings, faults) = of(&[
            ("PULSETRAIL_CONFIG", path),
            ("PULSETRAIL_LOG", "debug"),
            ("PULSETRAIL_JWT_SECRET", secret),
        ]);
        assert_eq!((settings.len(), faults), (SETTINGS.len(), Vec::new()));
        let text = as_text(&settings);
        let regions = format!("PULSETRAIL_REGIONS=eu,us  (regions in {path})");
        assert_eq!(line(&text, "PULSETRAIL_REGIONS"), regions);
        assert_eq!(line(&text, "PULSETRAIL_LOG="), "PULSETRAIL_LOG=debug  (PULSETRAIL_LOG)");
        assert_eq!(line(&text, "PULSETRAIL_SESSION"), "PULSETRAIL_SESSION_DAYS=30  (default)");
        let hidden = "PULSETRAIL_JWT_SECRET=[secret]  (PULSETRAIL_JWT_SECRET)";
        assert_eq!(line(&text, "PULSETRAIL_JWT_SECRET="), hidden);
        assert_eq!(line(&text, "PULSETRAIL_TOKEN"), "PULSETRAIL_TOKEN is not set");
        let json = serde_json::to_string(&settings).unwrap();
        assert!(!text.contains("hunter2") && !json.contains("hunter2"), "{json}");
    }

    #[test]
    fn mistakes_are_told_beside_the_values() {
        let (settings, faults) = of(&[("PULSETRAIL_LOG", "loud"), ("PULSETRAIL_LISTNE", "x")]);
        assert_eq!(settings.len(), SETTINGS.len());
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
