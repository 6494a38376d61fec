//! Reading a JSON body, with every way to fail told as a problem.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use pulsetrail_domain::monitor::Violation;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{Problem, RequestTime};

/// How many arrays and objects may lie in one another.
const MAX_DEPTH: usize = 32;

/// A request's body, read as JSON. Refused with 413 where it is too long, 415 where it is not said to
/// be JSON, 400 where it is no JSON, and 422, with the place as a JSON pointer, where it is JSON of
/// another shape.
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(
    /// What the body says.
    pub T,
);

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        require_json(request.headers())?;
        parse(&read(request, state).await?).map(Self)
    }
}

/// Reads a request's whole body. Refused with 413 where it is too long, and 408 where it does not come
/// in time.
///
/// # Errors
/// 413, 408, or 400 where it could not be read.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    // What is left of the time is for the work.
    let time = request.extensions().get::<RequestTime>().copied().unwrap_or_default();
    let reading = Bytes::from_request(request, state);
    match tokio::time::timeout(time.0 * 2 / 3, reading).await {
        Ok(read) => read.map_err(unread),
        Err(_) => {
            let detail = "The body did not come in time.";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
        }
    }
}

/// Refuses a body that is not said to be JSON, or is said to be compressed.
///
/// # Errors
/// 415.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    if says_json(headers) && is_plain(headers) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The body must be JSON and not compressed: Content-Type: application/json.",
    ))
}

/// Reads `text` as a `T`.
///
/// # Errors
/// 400 where it is no JSON or nested too deep, 422 where it is of another shape.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if is_too_deep(text) {
        let detail = format!("The body is nested deeper than {MAX_DEPTH} arrays and objects.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "nested_too_deep", detail));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        if error.inner().is_data() {
            Problem::invalid(vec![violation("", &error)])
        } else {
            malformed(error.inner())
        }
    })?;
    deserializer.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Reads a `T` out of JSON that was read before.
///
/// # Errors
/// 422 where it is of another shape.
pub fn parse_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| Problem::invalid(vec![violation("", &error)]))
}

/// What serde refused, and where, as a pointer behind `prefix`.
#[must_use]
pub fn violation(prefix: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Violation {
    let mut pointer = prefix.to_owned();
    for segment in error.path() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&escape(key));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let detail = error.inner().to_string();
    // The place in the text is of no use where the pointer says it.
    let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
    Violation::new(pointer, detail)
}

/// A key as a part of a JSON pointer (RFC 6901, 3).
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn malformed(error: &serde_json::Error) -> Problem {
    let detail = format!("The body is no JSON: line {}, column {}.", error.line(), error.column());
    Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
}

/// Whether the body is said to be `application/json` or `application/<something>+json`.
fn says_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = said.unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|subtype| subtype == "json" || subtype.ends_with("+json"))
}

/// Whether the body comes as it is (RFC 9110, 8.4): none is decompressed here.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().all(|coding| coding == "identity")
}

/// Whether more arrays and objects lie in one another than any body here has.
fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "The body is longer than this route takes.";
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    } else {
        Problem::bad_request("The body could not be read.")
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[allow(dead_code, reason = "only whether it is read counts")]
        list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[allow(dead_code, reason = "only whether it is read counts")]
        count: u8,
    }

    fn refusal(text: &str) -> (u16, &'static str, Option<String>) {
        let problem = parse::<Outer>(text.as_bytes()).unwrap_err();
        (problem.status, problem.code, problem.errors.first().map(|fault| fault.pointer.clone()))
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for text in ["", "{", "{]", r#"{"list":[]} x"#, r#"{"list":[}"#] {
            assert_eq!(refusal(text), (400, "malformed_json", None), "{text}");
        }
    }

    #[test]
    fn json_of_another_shape_is_refused_with_its_place() {
        let invalid = |pointer: &str| (422, "validation_failed", Some(pointer.to_owned()));
        assert_eq!(refusal(r#"{"list":[{"count":1},{"count":"2"}]}"#), invalid("/list/1/count"));
        assert_eq!(refusal(r#"{"list":[{"count":1000}]}"#), invalid("/list/0/count"));
        assert_eq!(refusal(r#"{"list":[],"a/b":1}"#), invalid("/a~1b"));
        assert_eq!(refusal("{}"), invalid(""));
        assert_eq!(refusal("7"), invalid(""));
    }

    #[test]
    fn a_body_is_nested_no_deeper_than_it_may() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse::<serde_json::Value>(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(refusal(&nested(MAX_DEPTH + 1)), (400, "nested_too_deep", None));
        assert_eq!(refusal(&"{\"a\":".repeat(100_000)).1, "nested_too_deep");
        // What stands in a text is no nesting, and what was closed before is none any more.
        let text = format!("\"{}\\\"{}\"", "[".repeat(40), "{".repeat(40));
        assert!(parse::<String>(text.as_bytes()).is_ok(), "{text}");
        let flat = format!("[{}0]", "[],".repeat(100));
        assert!(parse::<serde_json::Value>(flat.as_bytes()).is_ok());
    }

    #[test]
    fn a_compressed_body_is_refused() {
        let headers = |coding: &'static str| {
            let value = axum::http::HeaderValue::from_static;
            HeaderMap::from_iter([
                (header::CONTENT_TYPE, value("application/json")),
                (header::CONTENT_ENCODING, value(coding)),
            ])
        };
        assert!(require_json(&headers("identity")).is_ok());
        assert_eq!(require_json(&headers("gzip")).unwrap_err().status, 415);
    }

    #[test]
    fn only_json_is_said_to_be_json() {
        let says = |value: &'static str| {
            let value = axum::http::HeaderValue::from_static(value);
            says_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, value)]))
        };
        assert!(says("application/json") && says("Application/JSON; charset=utf-8"));
        assert!(says("application/merge-patch+json"));
        assert!(!says("text/plain") && !says("application/jsonp") && !says("text/json"));
        assert!(!says_json(&HeaderMap::new()));
    }
}
