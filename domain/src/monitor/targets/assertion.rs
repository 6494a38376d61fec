//! What must be true of an HTTP answer besides its status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json_path::JsonPath;
use super::pattern::PatternBudget;
use super::status::StatusRange;
use crate::monitor::Violation;

/// The longest pattern or text that is compared with, in bytes.
const MAX_BYTES: usize = 1_024;

/// One thing that must be true of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Assertion {
    /// The final answer's status is one of these.
    Status {
        /// 1 to 20 of `"2xx"`, `"200"` or `"200-299"`.
        expected: Vec<StatusRange>,
    },
    /// A header field of the final answer; several of one name are read as one, joined by commas.
    Header {
        /// The field's name, in any case.
        name: String,
        /// How it is compared.
        operator: TextOperator,
        /// With what; nothing for `exists` and `absent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// The final answer's body as text, decompressed. Of a longer one the first MiB is looked at; if the rest
    /// could make it true or false, the check fails with `http_too_large`.
    Body {
        /// How it is compared.
        operator: TextOperator,
        /// With what; nothing for `exists` and `absent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Something in the final answer's body, which is read as JSON and may have 1 MiB.
    JsonPath {
        /// Where (RFC 9535), such as `$.status`, in at most 4,096 bytes. Of several nodes one must compare well.
        path: String,
        /// How it is compared.
        operator: JsonOperator,
        /// With what; nothing for `exists` and `absent`.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        value: Value,
    },
    /// The time from the beginning to the end of the answer.
    ResponseTime {
        /// The longest that is good, in ms: 1 to 86,400,000.
        max_ms: u32,
    },
}

/// How a text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextOperator {
    /// It is this text.
    Equals,
    /// It is another text.
    NotEquals,
    /// This text is in it.
    Contains,
    /// This text is not in it.
    NotContains,
    /// This regular expression (of the Rust crate `regex`) is found in it.
    Matches,
    /// This regular expression is not found in it.
    NotMatches,
    /// It is there, and not empty.
    Exists,
    /// It is not there, or empty.
    Absent,
}

/// How a JSON value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonOperator {
    /// It is this value.
    Equals,
    /// It is another value.
    NotEquals,
    /// This text is in it; or this value, where it is an array.
    Contains,
    /// It is a text, and this regular expression is found in it.
    Matches,
    /// It is a smaller number.
    LessThan,
    /// It is a smaller number or this one.
    AtMost,
    /// It is a greater number.
    GreaterThan,
    /// It is a greater number or this one.
    AtLeast,
    /// There is something.
    Exists,
    /// There is nothing.
    Absent,
}

impl Assertion {
    /// Whether the body is looked at.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::Body { .. } | Self::JsonPath { .. })
    }

    /// Notes every value outside its limits, under `place`. Patterns are paid for from `patterns`.
    pub(super) fn validate(
        &self,
        place: &str,
        patterns: &mut PatternBudget,
        violations: &mut Vec<Violation>,
    ) {
        let mut note = |field: &str, fault: Option<String>| {
            violations.extend(fault.map(|fault| Violation::new(format!("{place}/{field}"), fault)));
        };
        match self {
            Self::Status { expected } => {
                let good = (1..=20).contains(&expected.len());
                note("expected", (!good).then(|| "must name 1 to 20 statuses".to_owned()));
            }
            Self::Header { name, operator, value } => {
                let token =
                    |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
                let good = (1..=128).contains(&name.len()) && name.bytes().all(token);
                note("name", (!good).then(|| "is no header name (RFC 9110)".to_owned()));
                note("value", operator.fault(value.as_deref(), patterns));
            }
            Self::Body { operator, value } => {
                note("value", operator.fault(value.as_deref(), patterns))
            }
            Self::JsonPath { path, operator, value } => {
                note("path", JsonPath::parse(path).err());
                note("value", operator.fault(value, patterns));
            }
            Self::ResponseTime { max_ms } => {
                let good = (1..=86_400_000).contains(max_ms);
                note("max_ms", (!good).then(|| "must be 1 to 86400000".to_owned()));
            }
        }
    }
}

impl TextOperator {
    fn fault(self, value: Option<&str>, patterns: &mut PatternBudget) -> Option<String> {
        match (self, value) {
            (Self::Exists | Self::Absent, None) => None,
            (Self::Exists | Self::Absent, Some(_)) => Some("is compared with nothing".to_owned()),
            (_, None) => Some("is needed".to_owned()),
            (_, Some(value)) if value.len() > MAX_BYTES => {
                Some(format!("must have at most {MAX_BYTES} bytes"))
            }
            (Self::Matches | Self::NotMatches, Some(pattern)) => patterns.fault(pattern),
            _ => None,
        }
    }
}

impl JsonOperator {
    fn fault(self, value: &Value, patterns: &mut PatternBudget) -> Option<String> {
        if value.to_string().len() > MAX_BYTES {
            return Some(format!("must have at most {MAX_BYTES} bytes"));
        }
        match self {
            Self::Exists | Self::Absent => {
                (!value.is_null()).then(|| "is compared with nothing".to_owned())
            }
            Self::Matches => match value {
                Value::String(pattern) => patterns.fault(pattern),
                _ => Some("must be a regular expression".to_owned()),
            },
            Self::LessThan | Self::AtMost | Self::GreaterThan | Self::AtLeast => {
                (!value.is_number()).then(|| "must be a number".to_owned())
            }
            Self::Equals | Self::NotEquals | Self::Contains => None,
        }
    }
}
