//! What is checked, parsed once into values that cannot be wrong.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest URL that is taken, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

/// What a monitor checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Target {
    /// An HTTP or HTTPS request.
    Http(HttpTarget),
}

impl Target {
    /// The target in short, for people: the URL.
    #[must_use]
    pub fn summary(&self) -> &str {
        match self {
            Self::Http(http) => http.url.as_str(),
        }
    }
}

/// A request and what is expected of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Where to.
    pub url: TargetUrl,
    /// How; `GET` where it is left out.
    #[serde(default)]
    pub method: HttpMethod,
    /// Header fields to send, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether a redirect is followed (default) or is the answer.
    #[serde(default = "default_true")]
    pub follow_redirects: bool,
    /// How many redirects are followed at most, 0 to 20.
    #[serde(default = "default_max_redirects")]
    pub max_redirects: u8,
    /// Whether the certificate must be valid (default).
    #[serde(default = "default_true")]
    pub verify_tls: bool,
    /// The statuses that mean up: `"2xx"`, `"200"` or `"200-299"`.
    #[serde(default = "default_expected_status")]
    pub expected_status: Vec<StatusRange>,
}

fn default_true() -> bool {
    true
}

fn default_max_redirects() -> u8 {
    5
}

fn default_expected_status() -> Vec<StatusRange> {
    vec![StatusRange { first: 200, last: 299 }]
}

impl HttpTarget {
    /// A `GET` of `url` with every default.
    #[must_use]
    pub fn get(url: TargetUrl) -> Self {
        Self {
            url,
            method: HttpMethod::default(),
            headers: BTreeMap::new(),
            body: None,
            follow_redirects: true,
            max_redirects: default_max_redirects(),
            verify_tls: true,
            expected_status: default_expected_status(),
        }
    }
}

/// A request method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
}

impl HttpMethod {
    /// The method's name as it goes over the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// An absolute `http` or `https` URL with a host, without credentials and without a fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct TargetUrl(Url);

/// Why a text is no target URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidTargetUrl {
    /// It does not parse.
    #[error("not an absolute URL: {0}")]
    Syntax(url::ParseError),
    /// Another scheme than http and https.
    #[error("the scheme must be http or https, not {0:?}")]
    Scheme(String),
    /// A user name or password, which would be kept in the log in clear.
    #[error("a URL must not carry a user name or password")]
    Credentials,
    /// Longer than [`MAX_URL_BYTES`].
    #[error("a URL has at most {MAX_URL_BYTES} bytes")]
    TooLong,
}

impl TargetUrl {
    /// The parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL as text, normalised.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for TargetUrl {
    type Error = InvalidTargetUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidTargetUrl::TooLong);
        }
        let mut url = Url::parse(&text).map_err(InvalidTargetUrl::Syntax)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidTargetUrl::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTargetUrl::Credentials);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl From<TargetUrl> for String {
    fn from(url: TargetUrl) -> Self {
        url.0.into()
    }
}

/// A range of HTTP statuses, both ends included, written `"2xx"`, `"204"` or `"200-299"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct StatusRange {
    first: u16,
    last: u16,
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
            (digits.len() == 3 && (100..=599).contains(&status)).then_some(status)
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
    fn urls_that_are_no_http_targets_are_refused() {
        let parse = |text: &str| TargetUrl::try_from(text.to_owned());
        assert!(matches!(parse("example.com"), Err(InvalidTargetUrl::Syntax(_))));
        assert!(matches!(parse("ftp://example.com"), Err(InvalidTargetUrl::Scheme(_))));
        assert!(matches!(parse("file:///etc/passwd"), Err(InvalidTargetUrl::Scheme(_))));
        assert_eq!(parse("http://user@example.com"), Err(InvalidTargetUrl::Credentials));
        assert_eq!(parse("http://:secret@example.com"), Err(InvalidTargetUrl::Credentials));
        let long = format!("http://example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(parse(&long), Err(InvalidTargetUrl::TooLong));
        assert_eq!(parse("HTTP://Example.com#top").unwrap().as_str(), "http://example.com/");
    }

    #[test]
    fn status_ranges_read_as_they_are_written() {
        for text in ["2xx", "204", "200-204"] {
            assert_eq!(StatusRange::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "xx", "9xx", "6xx", "20", "2000", "299-200", "a-b", "+20", "20x"] {
            assert!(StatusRange::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        let range = StatusRange::try_from("2xx".to_owned()).unwrap();
        assert!(range.contains(200) && range.contains(299));
        assert!(!range.contains(199) && !range.contains(300));
    }

    #[test]
    fn a_target_needs_its_url_alone() {
        let target: Target =
            serde_json::from_str(r#"{"type":"http","url":"https://example.com"}"#).unwrap();
        let url = TargetUrl::try_from("https://example.com".to_owned()).unwrap();
        assert_eq!(target, Target::Http(HttpTarget::get(url)));
    }
}
