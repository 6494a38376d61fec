//! The origin of a web page (RFC 6454).

use std::str::FromStr;

use url::Url;

/// A scheme, a host and a port, as browsers write them in `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// The text is no origin of a page.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be an origin such as https://status.example.com")]
pub struct InvalidOrigin;

impl Origin {
    /// The origin as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin)?;
        let origin = url.origin();
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let good = matches!(url.scheme(), "http" | "https") && bare && url.username().is_empty();
        if good { Ok(Self(origin.ascii_serialization())) } else { Err(InvalidOrigin) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        let of = |text: &str| text.parse::<Origin>().map(|origin| origin.as_str().to_owned());
        assert_eq!(of("https://Status.example.com:443/"), Ok("https://status.example.com".into()));
        assert_eq!(of("http://127.0.0.1:8080"), Ok("http://127.0.0.1:8080".into()));
        for text in ["", "*", "status.example.com", "https://a.test/path", "ftp://a.test"] {
            assert_eq!(of(text), Err(InvalidOrigin), "{text}");
        }
    }
}
