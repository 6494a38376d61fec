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
    #[error("is no URL: {0}")]
    Syntax(url::ParseError),
    /// It has no scheme.
    #[error("must be a whole URL, such as \"https://example.com\"")]
    Relative,
    /// Nothing can be dialled at port 0.
    #[error("the port must be 1 to 65535")]
    Port,
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
        Self::parsed(Url::parse(&text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => InvalidTargetUrl::Relative,
            error => InvalidTargetUrl::Syntax(error),
        })?)
    }
}

impl TargetUrl {
    /// A URL that was parsed already, such as one that a redirect leads to: it may be longer than one that
    /// a person gives.
    ///
    /// # Errors
    /// [`InvalidTargetUrl`].
    pub fn parsed(mut url: Url) -> Result<Self, InvalidTargetUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidTargetUrl::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTargetUrl::Credentials);
        }
        if url.port() == Some(0) {
            return Err(InvalidTargetUrl::Port);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }
}

/// A URL in short: of a bare host name, with or without a port and a path, the scheme is https.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ShortUrl(pub TargetUrl);

impl TryFrom<String> for ShortUrl {
    type Error = InvalidTargetUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        TargetUrl::try_from(whole_url(text)).map(Self)
    }
}

/// A URL that may be in short, as a whole.
#[must_use]
pub fn whole_url(text: String) -> String {
    let host = text.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let is_short = host.contains('.') && !text.contains("://");
    if is_short { format!("https://{text}") } else { text }
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
    fn a_bare_host_name_is_short_for_https() {
        let whole = |text: &str| ShortUrl::try_from(text.to_owned()).map(|url| String::from(url.0));
        for (text, url) in [
            ("example.com", "https://example.com/"),
            ("Example.com:8443/health?a=b:c", "https://example.com:8443/health?a=b:c"),
            ("192.0.2.1", "https://192.0.2.1/"),
            ("http://example.com", "http://example.com/"),
        ] {
            assert_eq!(whole(text).unwrap(), url);
        }
        assert_eq!(whole("nothing"), Err(InvalidTargetUrl::Relative));
        assert_eq!(whole("ada@example.com"), Err(InvalidTargetUrl::Credentials));
        assert!(matches!(whole("mailto:ada@example.com"), Err(InvalidTargetUrl::Scheme(_))));
    }

    #[test]
    fn urls_that_are_no_http_targets_are_refused() {
        let parse = |text: &str| TargetUrl::try_from(text.to_owned());
        for text in ["example.com", "/health", ""] {
            assert_eq!(parse(text), Err(InvalidTargetUrl::Relative), "{text:?}");
        }
        assert!(matches!(parse("http://a b/"), Err(InvalidTargetUrl::Syntax(_))));
        assert!(matches!(parse("example.com:80"), Err(InvalidTargetUrl::Scheme(_))));
        for text in ["http://127.0.0.1:0/", "https://example.com:00"] {
            assert_eq!(parse(text), Err(InvalidTargetUrl::Port), "{text}");
        }
        assert!(parse("http://127.0.0.1:1/").is_ok());
        assert!(matches!(parse("ftp://example.com"), Err(InvalidTargetUrl::Scheme(_))));
        assert!(matches!(parse("file:///etc/passwd"), Err(InvalidTargetUrl::Scheme(_))));
        assert_eq!(parse("http://user@example.com"), Err(InvalidTargetUrl::Credentials));
        assert_eq!(parse("http://:secret@example.com"), Err(InvalidTargetUrl::Credentials));
        let long = format!("http://example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(parse(&long), Err(InvalidTargetUrl::TooLong));
        assert_eq!(parse("HTTP://Example.com#top").unwrap().as_str(), "http://example.com/");
    }
}
