//! Whether what was asserted of an answer is true.

use std::time::Duration;

use http::HeaderMap;
use pulsetrail_domain::check::{FailedAssertion, FailureCause};
use pulsetrail_domain::monitor::{Assertion, JsonOperator, TextOperator, json_path, regex};
use serde_json::Value;

use super::attempt::Fault;

/// The longest part of what was expected or there instead that is kept, in characters.
const MAX_SHOWN: usize = 200;

/// What assertions are about.
pub(super) struct Facts<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) took: Duration,
}

/// Whether the body is looked at.
pub(super) fn need_body(assertions: &[Assertion]) -> bool {
    let of_body =
        |one: &Assertion| matches!(one, Assertion::Body { .. } | Assertion::JsonPath { .. });
    assertions.iter().any(of_body)
}

/// The first assertion that is not true.
pub(super) fn first_false(assertions: &[Assertion], facts: &Facts<'_>) -> Option<FailedAssertion> {
    (0..).zip(assertions).find_map(|(index, assertion)| {
        let (expected, got) = judge(assertion, facts).err()?;
        Some(FailedAssertion { index, expected: shown(&expected), got: got.as_deref().map(shown) })
    })
}

/// The failure that such an assertion is.
pub(super) fn fault(failed: &FailedAssertion) -> Fault {
    let cut = |text: &str| text.chars().take(110).collect::<String>();
    let got = failed.got.as_deref().map_or_else(|| "nothing".to_owned(), cut);
    let detail =
        format!("Assertion {}: expected {}, got {got}.", failed.index + 1, cut(&failed.expected));
    Fault::failed(FailureCause::AssertionFailed, detail)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// What was expected, and what there was instead.
type False = (String, Option<String>);

fn judge(assertion: &Assertion, facts: &Facts<'_>) -> Result<(), False> {
    match assertion {
        Assertion::Status { expected } => {
            if expected.iter().any(|range| range.contains(facts.status)) {
                return Ok(());
            }
            let ranges: Vec<String> = expected.iter().map(ToString::to_string).collect();
            Err((format!("status {}", ranges.join(", ")), Some(facts.status.to_string())))
        }
        Assertion::Header { name, operator, value } => {
            let values: Vec<_> = facts.headers.get_all(name.as_str()).iter().collect();
            let text =
                |one: &http::HeaderValue| String::from_utf8_lossy(one.as_bytes()).into_owned();
            let joined = values.iter().map(|one| text(one)).collect::<Vec<_>>().join(", ");
            compare(&format!("header {name}"), *operator, value.as_deref(), &joined)
        }
        Assertion::Body { operator, value } => {
            let text = String::from_utf8_lossy(facts.body);
            compare("body", *operator, value.as_deref(), &text)
        }
        Assertion::JsonPath { path, operator, value } => {
            in_json(path, *operator, value, facts.body)
        }
        Assertion::ResponseTime { max_ms } => {
            let took = facts.took.as_millis();
            if took <= u128::from(*max_ms) {
                return Ok(());
            }
            Err((format!("at most {max_ms} ms"), Some(format!("{took} ms"))))
        }
    }
}

fn compare(
    subject: &str,
    operator: TextOperator,
    value: Option<&str>,
    text: &str,
) -> Result<(), False> {
    let value = value.unwrap_or_default();
    // Registration compiled it: one that does not is found in nothing.
    let matches = || regex(value).is_ok_and(|pattern| pattern.is_match(text));
    let (good, how) = match operator {
        TextOperator::Equals => (text == value, "is"),
        TextOperator::NotEquals => (text != value, "is not"),
        TextOperator::Contains => (text.contains(value), "contains"),
        TextOperator::NotContains => (!text.contains(value), "does not contain"),
        TextOperator::Matches => (matches(), "matches"),
        TextOperator::NotMatches => (regex(value).is_ok() && !matches(), "does not match"),
        TextOperator::Exists => (!text.is_empty(), "is there"),
        TextOperator::Absent => (text.is_empty(), "is not there"),
    };
    if good {
        return Ok(());
    }
    let what = match operator {
        TextOperator::Exists | TextOperator::Absent => String::new(),
        _ => format!(" {value:?}"),
    };
    let got = (!text.is_empty()).then(|| text.chars().take(MAX_SHOWN).collect());
    Err((format!("that the {subject} {how}{what}"), got))
}

fn in_json(path: &str, operator: JsonOperator, value: &Value, body: &[u8]) -> Result<(), False> {
    let expected = || {
        let how = match operator {
            JsonOperator::Equals => "is",
            JsonOperator::NotEquals => "is not",
            JsonOperator::Contains => "contains",
            JsonOperator::Matches => "matches",
            JsonOperator::LessThan => "is less than",
            JsonOperator::AtMost => "is at most",
            JsonOperator::GreaterThan => "is greater than",
            JsonOperator::AtLeast => "is at least",
            JsonOperator::Exists => return format!("that {path} is there"),
            JsonOperator::Absent => return format!("that {path} is not there"),
        };
        format!("that {path} {how} {value}")
    };
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return Err((expected(), Some("a body that is no JSON".to_owned())));
    };
    let Ok(parsed) = json_path(path) else { return Err((expected(), None)) };
    let nodes = parsed.query(&document).all();
    let good = match operator {
        JsonOperator::Exists => !nodes.is_empty(),
        JsonOperator::Absent => nodes.is_empty(),
        _ => nodes.iter().any(|node| compares(operator, node, value)),
    };
    if good {
        return Ok(());
    }
    Err((expected(), nodes.first().map(|node| node.to_string())))
}

fn compares(operator: JsonOperator, node: &Value, value: &Value) -> bool {
    let numbers = || node.as_f64().zip(value.as_f64());
    match operator {
        JsonOperator::Equals => same(node, value),
        JsonOperator::NotEquals => !same(node, value),
        JsonOperator::Contains => match (node, value) {
            (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
            (Value::Array(items), value) => items.iter().any(|item| same(item, value)),
            _ => false,
        },
        JsonOperator::Matches => match (node, value) {
            (Value::String(text), Value::String(pattern)) => {
                regex(pattern).is_ok_and(|pattern| pattern.is_match(text))
            }
            _ => false,
        },
        JsonOperator::LessThan => numbers().is_some_and(|(node, value)| node < value),
        JsonOperator::AtMost => numbers().is_some_and(|(node, value)| node <= value),
        JsonOperator::GreaterThan => numbers().is_some_and(|(node, value)| node > value),
        JsonOperator::AtLeast => numbers().is_some_and(|(node, value)| node >= value),
        JsonOperator::Exists | JsonOperator::Absent => false,
    }
}

/// Whether two values are the same; 1 and 1.0 are the same number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod unit_tests {
    use serde_json::json;

    use super::*;

    const BODY: &str = r#"{"status":"ok","queue":{"length":7},"tags":["a","b"],"none":null}"#;

    fn failed(assertion: Value) -> Option<FailedAssertion> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "text/html".parse().unwrap());
        let facts = Facts {
            status: 503,
            headers: &headers,
            body: BODY.as_bytes(),
            took: Duration::from_millis(120),
        };
        let assertion: Assertion = serde_json::from_value(assertion).unwrap();
        first_false(&[assertion], &facts)
    }

    #[test]
    fn what_is_true_fails_nothing() {
        let path = |path: &str, operator: &str, value: Value| json!({"type": "json_path", "path": path, "operator": operator, "value": value});
        let body = |operator: &str, value: &str| json!({"type": "body", "operator": operator, "value": value});
        for good in [
            json!({"type": "status", "expected": ["5xx"]}),
            json!({"type": "header", "name": "Content-Type", "operator": "contains", "value": "html"}),
            json!({"type": "header", "name": "x-none", "operator": "absent"}),
            body("contains", "queue"),
            body("not_contains", "error"),
            body("matches", r#""length":\d+"#),
            body("not_matches", "(?i)ERROR"),
            path("$.status", "equals", json!("ok")),
            path("$.queue.length", "equals", json!(7.0)),
            path("$.queue.length", "at_most", json!(7)),
            path("$.queue.length", "greater_than", json!(6.5)),
            path("$.tags", "contains", json!("b")),
            path("$.tags[*]", "equals", json!("b")),
            path("$.status", "matches", json!("^o")),
            path("$.none", "equals", Value::Null),
            path("$.gone", "absent", Value::Null),
            json!({"type": "response_time", "max_ms": 120}),
        ] {
            assert_eq!(failed(good.clone()), None, "{good}");
        }
    }

    #[test]
    fn what_is_false_says_what_was_expected_and_what_there_was() {
        for (assertion, expected, got) in [
            (json!({"type": "status", "expected": ["2xx", "304"]}), "status 2xx, 304", Some("503")),
            (
                json!({"type": "header", "name": "content-type", "operator": "equals", "value": "x"}),
                "that the header content-type is \"x\"",
                Some("text/html"),
            ),
            (
                json!({"type": "header", "name": "x-none", "operator": "exists"}),
                "that the header x-none is there",
                None,
            ),
            (
                json!({"type": "body", "operator": "not_contains", "value": "queue"}),
                "that the body does not contain \"queue\"",
                Some(BODY),
            ),
            (
                json!({"type": "json_path", "path": "$.queue.length", "operator": "less_than", "value": 7}),
                "that $.queue.length is less than 7",
                Some("7"),
            ),
            (
                json!({"type": "json_path", "path": "$.gone", "operator": "equals", "value": 1}),
                "that $.gone is 1",
                None,
            ),
            (json!({"type": "response_time", "max_ms": 119}), "at most 119 ms", Some("120 ms")),
        ] {
            let failed = failed(assertion).unwrap();
            assert_eq!((failed.expected.as_str(), failed.got.as_deref()), (expected, got));
            let Fault::Failed(failure) = fault(&failed) else { panic!("refused") };
            assert!(failure.detail.contains(expected), "{}", failure.detail);
        }
    }
}
