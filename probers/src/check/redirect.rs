//! Following redirects: where the next request goes, and how (RFC 9110, section 15.4).

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use pulsetrail_domain::check::FailureCause;
use pulsetrail_domain::monitor::{HttpMethod, TargetUrl};

use super::attempt::Fault;

/// The way of one attempt through its redirects.
#[derive(Debug)]
pub(super) struct Trail {
    visited: Vec<(HttpMethod, TargetUrl)>,
    most: usize,
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
    pub(super) fn begin(most: u8) -> Self {
        Self { visited: Vec::new(), most: most.into() }
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
        let location = std::str::from_utf8(location.as_bytes())
            .map_err(|_| invalid(format!("{origin} redirects to what is no text.")))?;
        let url = from
            .url
            .url()
            .join(location)
            .map_err(|error| invalid(format!("{origin} redirects to no URL: {error}.")))?;
        let url = TargetUrl::try_from(String::from(url))
            .map_err(|error| invalid(format!("{origin} redirects to an unusable URL: {error}.")))?;
        if from.url.url().scheme() == "https" && url.url().scheme() == "http" {
            let detail = format!("{origin} redirects from https down to {}.", url.as_str());
            return Err(Fault::failed(FailureCause::HttpDowngrade, detail));
        }
        self.visited.push((from.method, from.url.clone()));
        if self.visited.len() > self.most {
            let detail = format!("More than {} redirects; the last was to {origin}.", self.most);
            return Err(Fault::failed(FailureCause::HttpTooManyRedirects, detail));
        }
        let method = next_method(from.method, status);
        if self.visited.iter().any(|(by, at)| *by == method && *at == url) {
            let detail = format!("{origin} redirects back to {}.", url.as_str());
            return Err(Fault::failed(FailureCause::HttpRedirectLoop, detail));
        }
        Ok(Step {
            with_body: from.with_body && method == from.method,
            same_origin: from.same_origin && from.url.url().origin() == url.url().origin(),
            url,
            method,
        })
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
            }
        })
    }

    fn from(url: &str, to: &str) -> Result<Step, FailureCause> {
        let first = step(url, HttpMethod::Get);
        follow(&mut Trail::begin(5), &first, 302, to)
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
        let nowhere = Trail::begin(5).next(&first, StatusCode::FOUND, &HeaderMap::new());
        assert!(nowhere.is_err());
    }

    #[test]
    fn a_way_back_is_a_loop_and_a_long_way_too_many() {
        let first = step("http://a.example/0", HttpMethod::Get);
        let mut trail = Trail::begin(3);
        let mut at = first.clone();
        for n in 1..=3 {
            at = follow(&mut trail, &at, 302, &format!("/{n}")).unwrap();
        }
        assert_eq!(follow(&mut trail, &at, 302, "/4"), Err(FailureCause::HttpTooManyRedirects));
        let mut trail = Trail::begin(3);
        let next = follow(&mut trail, &first, 302, "/1").unwrap();
        assert_eq!(follow(&mut trail, &next, 302, "/0"), Err(FailureCause::HttpRedirectLoop));
        let mut none = Trail::begin(0);
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
        let shown = follow(&mut Trail::begin(5), &first, 303, "/").unwrap();
        assert_eq!((shown.method, shown.with_body), (Get, false));
    }
}
