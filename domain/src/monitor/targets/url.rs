//! The URL of an HTTP target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest URL that is taken, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

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
}
