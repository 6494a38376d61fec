//! The place that a prober checks from.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A region's name: 1 to 32 of `a-z`, `0-9` and `-`, for it becomes part of a topic's name.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

/// The text is no region name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a region is 1 to 32 of a-z, 0-9 and '-', not {0:?}")]
pub struct InvalidRegion(String);

impl Region {
    /// The name of the region that there is where none is configured.
    pub const DEFAULT: &'static str = "default";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Region {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Region {
    type Error = InvalidRegion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(InvalidRegion(text))
        }
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_part_of_a_topic_are_refused() {
        for text in ["", "EU", "eu west", "eu.west", "ü", &"a".repeat(33)] {
            assert!(text.parse::<Region>().is_err(), "{text:?}");
        }
        assert_eq!("eu-west-1".parse::<Region>().unwrap().as_str(), "eu-west-1");
    }
}
