//! `If-Match`: a change that is only wanted of the version that the caller saw (RFC 9110, 13.1.1).

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use pulsetrail_domain::monitor::{Monitor, MonitorError};
use pulsetrail_infra::http::Problem;

/// The versions that a caller will change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Any: there is no `If-Match`, or it is `*`.
    None,
    /// One of these. A tag that is no version matches nothing.
    Versions(Vec<i64>),
}

impl Precondition {
    /// The version to ask for when the monitor is changed; none where any will do.
    ///
    /// # Errors
    /// 412 where `current` is not among the wanted versions.
    pub(crate) fn expected_version(&self, current: &Monitor) -> Result<Option<i64>, Problem> {
        match self {
            Self::None => Ok(None),
            Self::Versions(versions) if versions.contains(&current.version) => {
                Ok(Some(current.version))
            }
            Self::Versions(_) => {
                Err(MonitorError::VersionMismatch { current: current.version }.into())
            }
        }
    }

    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut versions = Vec::new();
        let mut given = false;
        for value in headers.get_all(header::IF_MATCH) {
            let value = value.to_str().map_err(|_| malformed())?;
            for tag in value.split(',').map(str::trim) {
                given = true;
                match tag {
                    "*" => return Ok(Self::None),
                    // Nothing between commas is nothing (RFC 9110, 5.6.1.2), and no version is among none.
                    "" => {}
                    // A weak tag never matches, for the comparison is the strong one.
                    weak if weak.starts_with("W/\"") => {}
                    tag => versions.extend(quoted(tag).ok_or_else(malformed)?.parse::<i64>()),
                }
            }
        }
        Ok(if given { Self::Versions(versions) } else { Self::None })
    }
}

fn quoted(tag: &str) -> Option<&str> {
    tag.strip_prefix('"')?.strip_suffix('"')
}

fn malformed() -> Problem {
    let detail = "If-Match must be an entity tag in quotation marks, such as \"3\", or *.";
    Problem::new(StatusCode::BAD_REQUEST, "malformed_if_match", detail)
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(value: &str) -> Result<Precondition, u16> {
        let value = HeaderValue::from_str(value).unwrap();
        Precondition::of(&HeaderMap::from_iter([(header::IF_MATCH, value)]))
            .map_err(|problem| problem.status)
    }

    #[test]
    fn if_match_names_the_versions_that_a_caller_will_change() {
        assert_eq!(Precondition::of(&HeaderMap::new()).unwrap(), Precondition::None);
        assert_eq!(of("*"), Ok(Precondition::None));
        assert_eq!(of("\"3\""), Ok(Precondition::Versions(vec![3])));
        assert_eq!(of("\"3\", \"x\", W/\"4\""), Ok(Precondition::Versions(vec![3])));
        assert_eq!(of("\"3\",,\"4\""), Ok(Precondition::Versions(vec![3, 4])));
        assert_eq!(of(""), Ok(Precondition::Versions(vec![])));
        assert_eq!(of("3"), Err(400));
        assert_eq!(of("\"3"), Err(400));
    }

    #[test]
    fn another_version_is_a_failed_precondition() {
        let monitor = Monitor { version: 3, ..Monitor::default() };
        let expected = |precondition: Precondition| {
            precondition.expected_version(&monitor).map_err(|problem| problem.status)
        };
        assert_eq!(expected(Precondition::None), Ok(None));
        assert_eq!(expected(Precondition::Versions(vec![2, 3])), Ok(Some(3)));
        assert_eq!(expected(Precondition::Versions(vec![2])), Err(412));
        assert_eq!(expected(Precondition::Versions(vec![])), Err(412));
    }
}
