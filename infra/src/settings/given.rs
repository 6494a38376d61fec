//! What was given for settings, as texts, and how one is read: from the environment or a file, with every
//! mistake kept.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::str::FromStr;

use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::Value;

use super::SETTINGS;

/// What the name of every variable begins with.
pub(super) const PREFIX: &str = "PULSETRAIL_";

/// What was given, and what is wrong with it.
#[derive(Default)]
pub(super) struct Given {
    /// By key: where it comes from, and its text.
    values: BTreeMap<String, (String, String)>,
    pub(super) faults: Vec<String>,
}

impl Given {
    /// Reads the given variables, and the file that they name.
    pub(super) fn read(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut given = Self::default();
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
        given
    }

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

    /// Where the value of a key comes from; none of a default.
    pub(super) fn source(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(source, _)| source.as_str())
    }

    /// What is in force for a key: where it comes from, and its text.
    pub(super) fn get(&self, key: &str) -> (String, String) {
        let variable = || format!("{PREFIX}{}", key.to_uppercase());
        let default = || {
            SETTINGS.iter().find(|setting| setting.key == key).map_or("", |setting| setting.default)
        };
        self.values.get(key).cloned().unwrap_or_else(|| (variable(), default().to_owned()))
    }

    pub(super) fn fault(&mut self, key: &str, what: impl Display) {
        let (source, value) = self.get(key);
        let secret = SETTINGS.iter().any(|setting| setting.key == key && setting.secret);
        self.faults.push(if secret {
            format!("{source}: {what}")
        } else {
            format!("{source}: {what} (it is {value:?})")
        });
    }

    pub(super) fn optional<T>(
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

    pub(super) fn parsed<T: FromStr + Default>(&mut self, key: &str) -> T
    where
        T::Err: Display,
    {
        let (_, text) = self.get(key);
        text.parse().unwrap_or_else(|fault| {
            self.fault(key, fault);
            // Not used: the fault ends the start.
            T::default()
        })
    }

    pub(super) fn list<T: FromStr>(&mut self, key: &str) -> Vec<T>
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

    pub(super) fn within<T: FromStr + PartialOrd + Display + Copy>(
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

    pub(super) fn at_least_one(&mut self, key: &str, high: u32) -> NonZeroU32 {
        NonZeroU32::new(self.within(key, 1, high)).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let (_, text) = self.get(key);
        let chosen = choices.iter().find(|(name, _)| *name == text);
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.fault(key, format!("must be {}", names.join(" or ")));
        }
        // `choices` is never empty: the fault above ends the start in any case.
        chosen.unwrap_or(&choices[0]).1
    }

    pub(super) fn name(&mut self, key: &str, also: &str) -> String {
        let (_, text) = self.get(key);
        let allowed =
            |byte: char| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also.contains(byte);
        if !(1..=100).contains(&text.len()) || !text.chars().all(allowed) {
            self.fault(key, format!("must be 1 to 100 of a-z, 0-9 and any of {also:?}"));
        }
        text
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
