//! Following redirects: where the next request goes, and how (RFC 9110, section 15.4).

use std::borrow::Cow;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, percent_encode};
use pulsetrail_domain::check::FailureCause;
use pulsetrail_domain::monitor::{HttpMethod, TargetUrl};

use super::attempt::Fault;

/// The longest `Location` that is followed, in bytes. Browsers follow longer ones; the header of an answer
/// has not much more room.
const MAX_LOCATION_BYTES: usize = 32 * 1024;
/// Encodes no ASCII.
const NOT_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// The way of one attempt through its redirects.
#[derive(Debug)]
pub(super) struct Trail {
    visited: Vec<(HttpMethod, TargetUrl)>,
    most: usize,
    /// Whether it may go from https to http.
    may_leave_https: bool,
}

/// One request of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) url: TargetUrl,
    pub(super) method: HttpMethod,
    /// Whether the body goes along.
    pub(super) with_body: bool,
    /// Whether it still goes to the origin that the monitor names.
    pub(super) same_origin: bool,
}

/// Whether an answer sends the client elsewhere.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

impl Trail {
    /// A way that has at most `most` redirects.
    pub(super) fn begin(most: u8, may_leave_https: bool) -> Self {
        Self { visited: Vec::new(), most: most.into(), may_leave_https }
    }

    /// Where an answer to `from` sends the client.
    pub(super) fn next(
        &mut self,
        from: &Step,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Step, Fault> {
        let invalid = |detail: String| Fault::failed(FailureCause::HttpRedirectInvalid, detail);
        let origin = from.url.as_str();
        let location = headers.get(LOCATION).ok_or_else(|| {
            invalid(format!("{origin} answered {status} without saying where to go."))
        })?;
        if location.len() > MAX_LOCATION_BYTES {
            return Err(invalid(format!(
                "{origin} redirects to a URL of more than {MAX_LOCATION_BYTES} bytes."
            )));
        }
        let url = from
            .url
            .url()
            .join(&text(location.as_bytes()))
            .map_err(|error| invalid(format!("{origin} redirects to no URL: {error}.")))?;
        let url = TargetUrl::parsed(url)
            .map_err(|error| invalid(format!("{origin} redirects to an unusable URL: {error}.")))?;
        let leaves_https = from.url.url().scheme() == "https" && url.url().scheme() == "http";
        if leaves_https && !self.may_leave_https {
            let detail = format!("{origin} redirects from https down to {}.", url.as_str());
            return Err(Fault::failed(FailureCause::HttpDowngrade, detail));
        }
        self.visited.push((from.method, from.url.clone()));
        let method = next_method(from.method, status);
        if self.visited.len() > self.most {
            let most = self.most;
            let before = self.visited.iter().any(|(by, at)| *by == method && *at == url);
            return Err(if before && most > 0 {
                let back = url.as_str();
                let detail = format!("More than {most} redirects; the last led back to {back}.");
                Fault::failed(FailureCause::HttpRedirectLoop, detail)
            } else {
                let detail = format!("More than {most} redirects; the last was to {origin}.");
                Fault::failed(FailureCause::HttpTooManyRedirects, detail)
            });
        }
        Ok(Step {
            with_body: from.with_body && method == from.method,
            same_origin: from.same_origin && from.url.url().origin() == url.url().origin(),
            url,
            method,
        })
    }
}

/// A `Location` as text. Bytes that are no UTF-8 are percent-encoded one by one, as browsers do.
fn text(location: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(location) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => percent_encode(location, NOT_ASCII).collect::<String>().into(),
    }
}

/// 303 asks for a `GET`, and so, as everybody does it, do 301 and 302 after a `POST`.
fn next_method(method: HttpMethod, status: StatusCode) -> HttpMethod {
    match (status.as_u16(), method) {
        (303, HttpMethod::Head) => HttpMethod::Head,
        (303, _) | (301 | 302, HttpMethod::Post) => HttpMethod::Get,
        _ => method,
    }
}

#[cfg(test)]
mod unit_tests {
    use http::HeaderValue;

    use super::*;

    fn step(url: &str, method: HttpMethod) -> Step {
        let url = TargetUrl::try_from(url.to_owned()).unwrap();
        Step { url, method, with_body: true, same_origin: true }
    }

    fn follow(trail: &mut Trail, from: &Step, status: u16, to: &str) -> Result<Step, FailureCause> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_bytes(to.as_bytes()).unwrap());
        trail.next(from, StatusCode::from_u16(status).unwrap(), &headers).map_err(|fault| {
            match fault {
                Fault::Failed(failure) | Fault::Refused(failure, _) => failure.cause,
                Fault::AsksForHttp11 => panic!("a redirect asks for nothing"),
            }
        })
    }

    fn from(url: &str, to: &str) -> Result<Step, FailureCause> {
        let first = step(url, HttpMethod::Get);
        follow(&mut Trail::begin(5, false), &first, 302, to)
    }

    #[test]
    fn a_location_is_read_relative_to_where_it_was_found() {
        let next = from("http://a.example/b/c?d", "../e#f").unwrap();
        assert_eq!(next.url.as_str(), "http://a.example/e");
        assert!(next.same_origin);
        let elsewhere = from("http://a.example/", "//b.example/").unwrap();
        assert_eq!(elsewhere.url.as_str(), "http://b.example/");
        assert!(!elsewhere.same_origin);
        assert!(from("http://a.example/", "https://a.example/").is_ok());
    }

    #[test]
    fn a_location_may_be_long_and_need_not_be_text() {
        let long = format!("http://a.example/{}", "a".repeat(20_000));
        assert_eq!(from("http://a.example/", &long).unwrap().url.as_str(), long);
        let beyond = format!("/{}", "a".repeat(MAX_LOCATION_BYTES));
        let end = from("http://a.example/", &beyond);
        assert_eq!(end, Err(FailureCause::HttpRedirectInvalid));
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_bytes(b"/caf\xe9?\xff").unwrap());
        let first = step("http://a.example/", HttpMethod::Get);
        let next = Trail::begin(5, false).next(&first, StatusCode::FOUND, &headers).unwrap();
        assert_eq!(next.url.as_str(), "http://a.example/caf%E9?%FF");
        assert_eq!(
            from("http://a.example/", "/é").unwrap().url.as_str(),
            "http://a.example/%C3%A9"
        );
    }

    #[test]
    fn a_way_leaves_https_only_where_it_may() {
        let first = step("https://a.example/", HttpMethod::Get);
        let mut trail = Trail::begin(5, true);
        let next = follow(&mut trail, &first, 301, "http://a.example/").unwrap();
        assert!(!next.same_origin);
        let mut trail = Trail::begin(5, false);
        let end = follow(&mut trail, &first, 301, "http://a.example/");
        assert_eq!(end, Err(FailureCause::HttpDowngrade));
    }

    #[test]
    fn a_location_that_cannot_be_used_is_invalid() {
        for to in ["https://", "ftp://a.example/", "http://u:p@a.example/", "http://[::", "ä://x"]
        {
            let end = from("http://a.example/", to);
            assert!(
                matches!(end, Err(FailureCause::HttpRedirectInvalid)) || to == "ä://x",
                "{to}: {end:?}"
            );
        }
        let down = from("https://a.example/", "http://a.example/");
        assert_eq!(down, Err(FailureCause::HttpDowngrade));
        let first = step("http://a.example/", HttpMethod::Get);
        let nowhere = Trail::begin(5, false).next(&first, StatusCode::FOUND, &HeaderMap::new());
        assert!(nowhere.is_err());
    }

    #[test]
    fn a_long_way_is_too_many_and_one_that_comes_back_a_loop() {
        let first = step("http://a.example/0", HttpMethod::Get);
        let through = |most: u8, places: u32| {
            let (mut trail, mut at) = (Trail::begin(most, false), first.clone());
            for n in 1..=u32::from(most) {
                at = follow(&mut trail, &at, 302, &format!("/{}", n % places)).unwrap();
            }
            follow(&mut trail, &at, 302, &format!("/{}", (u32::from(most) + 1) % places))
        };
        assert_eq!(through(3, 100), Err(FailureCause::HttpTooManyRedirects));
        assert_eq!(through(3, 1), Err(FailureCause::HttpRedirectLoop));
        assert_eq!(through(20, 2), Err(FailureCause::HttpRedirectLoop));
        let mut none = Trail::begin(0, false);
        assert_eq!(follow(&mut none, &first, 302, "/1"), Err(FailureCause::HttpTooManyRedirects));
    }

    #[test]
    fn the_method_changes_as_the_status_says() {
        use HttpMethod::{Get, Head, Post, Put};
        let next = |method, status| next_method(method, StatusCode::from_u16(status).unwrap());
        assert_eq!([next(Post, 301), next(Post, 302), next(Post, 303)], [Get, Get, Get]);
        assert_eq!([next(Post, 307), next(Post, 308)], [Post, Post]);
        assert_eq!([next(Put, 302), next(Put, 303)], [Put, Get]);
        assert_eq!([next(Head, 301), next(Head, 303)], [Head, Head]);
        // A form that sends the browser back to itself by GET is no loop.
        let first = step("http://a.example/", Post);
        let shown = follow(&mut Trail::begin(5, false), &first, 303, "/").unwrap();
        assert_eq!((shown.method, shown.with_body), (Get, false));
    }
}
