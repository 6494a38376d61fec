//! Whether what was asserted of an answer is true.

use std::time::Duration;

use http::HeaderMap;
use pulsetrail_domain::check::{FailedAssertion, FailureCause};
use pulsetrail_domain::monitor::{Assertion, JsonOperator, JsonPath, TextOperator};
use serde_json::Value;

use super::attempt::Fault;
use super::body::MAX_BODY_BYTES;
use super::decode::Content;
use super::json_value::{self, Document};
use super::pattern::{End, Patterns};
use super::text;
use super::work::{Budget, Exceeded};

/// The longest part of what was expected or there instead that is kept, in characters.
const MAX_SHOWN: usize = 200;

/// An answer, and what was asserted of it.
pub(super) struct Answered {
    pub(super) assertions: Vec<Assertion>,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Content,
    pub(super) took: Duration,
}

/// The first assertion that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It is not true.
    False(FailedAssertion),
    /// The part of the body that was not looked at decides whether it is. Its place in the list.
    Undecided(usize),
}

/// Whether the body is looked at.
pub(super) fn need_body(assertions: &[Assertion]) -> bool {
    let of_body =
        |one: &Assertion| matches!(one, Assertion::Body { .. } | Assertion::JsonPath { .. });
    assertions.iter().any(of_body)
}

/// The first assertion that does not hold.
///
/// # Errors
/// When finding that out takes more than the budget.
pub(super) fn first_failed(
    answered: &Answered,
    budget: &mut Budget,
) -> Result<Option<Failed>, Exceeded> {
    budget.spend_bytes(2 * answered.body.bytes.len())?;
    let text = text::of_body(&answered.headers, &answered.body.bytes);
    let mut judge = Judge {
        answered,
        document: Document::of(&text),
        body: &text.text,
        patterns: Patterns::default(),
        budget,
    };
    for (index, assertion) in answered.assertions.iter().enumerate() {
        match judge.judge(assertion)? {
            Verdict::True => {}
            Verdict::False(expected, got) => {
                return Ok(Some(Failed::False(FailedAssertion {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    expected: shown(&expected),
                    got: got.as_deref().map(shown),
                })));
            }
            Verdict::Undecided => return Ok(Some(Failed::Undecided(index))),
        }
    }
    Ok(None)
}

/// The failure that such an assertion is.
pub(super) fn fault(failed: &Failed) -> Fault {
    let failed = match failed {
        Failed::False(failed) => failed,
        Failed::Undecided(index) => {
            let detail = format!(
                "The body has more than {MAX_BODY_BYTES} bytes, and assertion {} depends on the rest.",
                index + 1
            );
            return Fault::failed(FailureCause::HttpTooLarge, detail);
        }
    };
    let cut = |text: &str| text.chars().take(110).collect::<String>();
    let got = failed.got.as_deref().map_or_else(|| "nothing".to_owned(), cut);
    let detail =
        format!("Assertion {}: expected {}, got {got}.", failed.index + 1, cut(&failed.expected));
    Fault::failed(FailureCause::AssertionFailed, detail)
}

/// The failure of assertions that take too much.
pub(super) fn too_expensive(exceeded: Exceeded) -> Fault {
    let detail = match exceeded {
        Exceeded::Steps => {
            "The patterns and JSON paths of the assertions take more work with this answer than a check may do."
        }
        Exceeded::Time => "The assertions could not be compared with this answer in time.",
    };
    Fault::failed(FailureCause::AssertionTooExpensive, detail)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// Whether an assertion is true.
enum Verdict {
    True,
    /// What was expected, and what there was instead.
    False(String, Option<String>),
    /// The body goes on, and what follows could make it true or false.
    Undecided,
}

struct Judge<'a, 'b> {
    answered: &'a Answered,
    body: &'a str,
    document: Document<'a>,
    patterns: Patterns,
    budget: &'b mut Budget,
}

impl Judge<'_, '_> {
    fn judge(&mut self, assertion: &Assertion) -> Result<Verdict, Exceeded> {
        let answered = self.answered;
        Ok(match assertion {
            Assertion::Status { expected } => {
                if expected.iter().any(|range| range.contains(answered.status)) {
                    return Ok(Verdict::True);
                }
                let ranges: Vec<String> = expected.iter().map(ToString::to_string).collect();
                let expected = format!("status {}", ranges.join(", "));
                Verdict::False(expected, Some(answered.status.to_string()))
            }
            Assertion::Header { name, operator, value } => {
                let text = text::of_header(&answered.headers, name);
                let subject = format!("header {name}");
                self.compare(&subject, *operator, value.as_deref(), (&text, false))?
            }
            Assertion::Body { operator, value } => {
                let text = (self.body, answered.body.is_cut);
                self.compare("body", *operator, value.as_deref(), text)?
            }
            Assertion::JsonPath { path, operator, value } => {
                self.in_json(path, *operator, value)?
            }
            Assertion::ResponseTime { max_ms } => {
                let took = answered.took.as_millis();
                if took <= u128::from(*max_ms) {
                    return Ok(Verdict::True);
                }
                Verdict::False(format!("at most {max_ms} ms"), Some(format!("{took} ms")))
            }
        })
    }

    fn compare(
        &mut self,
        subject: &str,
        operator: TextOperator,
        value: Option<&str>,
        (text, is_cut): (&str, bool),
    ) -> Result<Verdict, Exceeded> {
        let value = value.unwrap_or_default();
        self.budget.spend_bytes(text.len())?;
        // Registration compiled it: a pattern that does not compile is neither found nor not found.
        let mut found = || {
            let end = if is_cut { End::GoesOn } else { End::IsReached };
            self.patterns.is_match(value, (text, end), self.budget)
        };
        let (good, how) = match operator {
            // What is compared with is shorter than a body that is cut.
            TextOperator::Equals => (text == value, "is"),
            TextOperator::NotEquals => (text != value, "is not"),
            TextOperator::Contains => (text.contains(value), "contains"),
            TextOperator::NotContains => (!text.contains(value), "does not contain"),
            TextOperator::Matches => (found()? == Some(true), "matches"),
            TextOperator::NotMatches => (found()? == Some(false), "does not match"),
            TextOperator::Exists => (!text.is_empty(), "is there"),
            TextOperator::Absent => (text.is_empty(), "is not there"),
        };
        let not_found = match operator {
            TextOperator::Contains | TextOperator::Matches => !good,
            TextOperator::NotContains | TextOperator::NotMatches => good,
            _ => false,
        };
        if is_cut && not_found {
            return Ok(Verdict::Undecided);
        }
        if good {
            return Ok(Verdict::True);
        }
        let what = match operator {
            TextOperator::Exists | TextOperator::Absent => String::new(),
            _ => format!(" {value:?}"),
        };
        let got = (!text.is_empty()).then(|| text.chars().take(MAX_SHOWN).collect());
        Ok(Verdict::False(format!("that the {subject} {how}{what}"), got))
    }

    fn in_json(
        &mut self,
        path: &str,
        operator: JsonOperator,
        value: &Value,
    ) -> Result<Verdict, Exceeded> {
        if self.answered.body.is_cut {
            return Ok(Verdict::Undecided);
        }
        let expected = || json_value::expectation(path, operator, value);
        self.budget.spend(path.len() as u64)?;
        // Registration parsed it.
        let Ok(parsed) = JsonPath::parse(path) else { return Ok(Verdict::False(expected(), None)) };
        let Some(root) = self.document.root(self.budget)? else {
            let got = "a body that is no JSON".to_owned();
            return Ok(Verdict::False(expected(), Some(got)));
        };
        let looked = json_value::look(
            (root, &parsed),
            (operator, value),
            MAX_SHOWN,
            self.budget,
            &mut self.patterns,
        )?;
        Ok(if looked.is_good { Verdict::True } else { Verdict::False(expected(), looked.first) })
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
        let answered = Answered {
            assertions: vec![serde_json::from_value(assertion).unwrap()],
            status: 503,
            headers,
            body: Content { bytes: BODY.into(), is_cut: false },
            took: Duration::from_millis(120),
        };
        match first_failed(&answered, &mut Budget::of_steps(100_000)).unwrap() {
            Some(Failed::False(failed)) => Some(failed),
            other => {
                assert_eq!(other, None);
                None
            }
        }
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
            let Fault::Failed(failure) = fault(&Failed::False(failed.clone())) else {
                panic!("refused")
            };
            assert!(failure.detail.contains(expected), "{}", failure.detail);
        }
    }
}
