//! Which statuses are expected.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A range of HTTP statuses from 100 to 999, both ends included, written `"2xx"`, `"204"` or `"200-299"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct StatusRange {
    pub(super) first: u16,
    pub(super) last: u16,
}

/// The text is no range of HTTP statuses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected a status such as \"2xx\", \"204\" or \"200-299\", not {0:?}")]
pub struct InvalidStatusRange(String);

impl StatusRange {
    /// Whether `status` lies in the range.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl TryFrom<String> for StatusRange {
    type Error = InvalidStatusRange;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let status = |digits: &str| {
            let status = digits.parse::<u16>().ok()?;
            (digits.len() == 3 && (100..=999).contains(&status)).then_some(status)
        };
        let range = if let Some(class) = text.strip_suffix("xx") {
            status(&format!("{class}00")).map(|first| (first, first + 99))
        } else if let Some((first, last)) = text.split_once('-') {
            status(first).zip(status(last)).filter(|(first, last)| first <= last)
        } else {
            status(&text).map(|status| (status, status))
        };
        match range {
            Some((first, last)) => Ok(Self { first, last }),
            None => Err(InvalidStatusRange(text)),
        }
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) if first % 100 == 0 && last == first + 99 => {
                write!(f, "{}xx", first / 100)
            }
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_ranges_read_as_they_are_written() {
        for text in ["2xx", "204", "200-204", "9xx", "999", "100-999"] {
            assert_eq!(StatusRange::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "xx", "0xx", "099", "20", "2000", "299-200", "a-b", "+20", "20x"] {
            assert!(StatusRange::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        let range = StatusRange::try_from("2xx".to_owned()).unwrap();
        assert!(range.contains(200) && range.contains(299));
        assert!(!range.contains(199) && !range.contains(300));
    }
}
