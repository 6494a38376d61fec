//! What a target asks for that can never be true, although every value is within its limits.

use super::http::{HttpMethod, HttpTarget};
use super::status::StatusRange;
use super::{Assertion, JsonOperator, Target, TextOperator};
use crate::monitor::Violation;

/// The statuses of redirects that are followed.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

impl Target {
    /// What can never be true of its checks, each with its place in the monitor's body.
    #[must_use]
    pub fn warnings(&self) -> Vec<Violation> {
        match self {
            Self::Http(http) => http.warnings(),
            Self::Tcp(_) | Self::Dns(_) | Self::Tls(_) | Self::Heartbeat(_) => Vec::new(),
        }
    }
}

impl HttpTarget {
    fn warnings(&self) -> Vec<Violation> {
        let mut warnings = Vec::new();
        for (index, range) in self.expected_status.iter().enumerate() {
            if self.follow_redirects && is_redirect(*range) {
                let detail = "is never the final status while redirects are followed";
                warnings.push(Violation::new(format!("/target/expected_status/{index}"), detail));
            }
        }
        for (index, assertion) in self.assertions.iter().enumerate() {
            let detail = match assertion {
                Assertion::Body { operator, .. }
                    if self.method == HttpMethod::Head && needs_text(*operator) =>
                {
                    "is never true: an answer to HEAD has no body"
                }
                Assertion::JsonPath { operator, .. }
                    if self.method == HttpMethod::Head && *operator != JsonOperator::Absent =>
                {
                    "is never true: an answer to HEAD has no body"
                }
                Assertion::Status { expected } if !self.expects_one_of(expected) => {
                    "is never true: expected_status allows none of these"
                }
                _ => continue,
            };
            warnings.push(Violation::new(format!("/target/assertions/{index}"), detail));
        }
        warnings
    }

    fn expects_one_of(&self, asserted: &[StatusRange]) -> bool {
        let meet = |one: &StatusRange, other: &StatusRange| {
            one.first <= other.last && other.first <= one.last
        };
        asserted.iter().any(|one| self.expected_status.iter().any(|other| meet(one, other)))
    }
}

/// Whether every status of a range is that of a redirect.
fn is_redirect(range: StatusRange) -> bool {
    (range.first..=range.last).all(|status| REDIRECTS.contains(&status))
}

/// Whether an empty text never compares well so.
fn needs_text(operator: TextOperator) -> bool {
    matches!(operator, TextOperator::Contains | TextOperator::Equals | TextOperator::Exists)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn warned_of(fields: &Value) -> Vec<String> {
        let mut target = json!({"type": "http", "url": "https://example.com"});
        for (name, value) in fields.as_object().unwrap() {
            target[name] = value.clone();
        }
        let target: Target = serde_json::from_value(target).unwrap();
        target.warnings().into_iter().map(|warning| warning.pointer).collect()
    }

    #[test]
    fn what_can_never_be_true_is_warned_of() {
        let body = json!({"type": "body", "operator": "contains", "value": "ok"});
        let path = json!({"type": "json_path", "path": "$.a", "operator": "exists"});
        let no_text = json!({"type": "body", "operator": "not_contains", "value": "error"});
        let status = json!({"type": "status", "expected": ["503", "404"]});
        let redirects = json!({"expected_status": ["200", "301", "307-308", "3xx"]});
        assert_eq!(
            warned_of(&redirects),
            ["/target/expected_status/1", "/target/expected_status/2"]
        );
        let mut answered = redirects;
        answered["follow_redirects"] = json!(false);
        assert_eq!(warned_of(&answered), [""; 0]);
        let all = json!([body, path, no_text, status]);
        assert_eq!(
            warned_of(&json!({"method": "HEAD", "assertions": all})),
            ["/target/assertions/0", "/target/assertions/1", "/target/assertions/3"]
        );
        assert_eq!(warned_of(&json!({"assertions": all})), ["/target/assertions/3"]);
        assert_eq!(warned_of(&json!({"assertions": all, "expected_status": ["4xx"]})), [""; 0]);
    }
}
