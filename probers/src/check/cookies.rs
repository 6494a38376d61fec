//! The cookies of one attempt: what a hop sets, the following ones send (RFC 6265).

use cookie_store::{CookieStore, RawCookie};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use url::Url;

/// A jar that begins empty and ends with its attempt.
#[derive(Debug, Default)]
pub(super) struct CookieJar(CookieStore);

impl CookieJar {
    /// Keeps what an answer from `url` sets. What cannot be read is left out, as browsers do.
    pub(super) fn keep(&mut self, url: &Url, headers: &HeaderMap) {
        let set = headers.get_all(SET_COOKIE).iter().filter_map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            RawCookie::parse(text).ok()
        });
        self.0.store_response_cookies(set, url);
    }

    /// Adds what belongs to `url` to the header of a request, behind what is there already.
    pub(super) fn add_to(&self, url: &Url, headers: &mut HeaderMap) {
        let own = headers.get(COOKIE).map(HeaderValue::as_bytes).filter(|own| !own.is_empty());
        let mut all = own.map(<[u8]>::to_vec).unwrap_or_default();
        let is_secret = headers.get(COOKIE).is_some_and(HeaderValue::is_sensitive);
        for (name, value) in self.0.get_request_values(url) {
            if !all.is_empty() {
                all.extend_from_slice(b"; ");
            }
            all.extend_from_slice(format!("{name}={value}").as_bytes());
        }
        if all.is_empty() {
            return;
        }
        if let Ok(mut value) = HeaderValue::from_bytes(&all) {
            value.set_sensitive(is_secret);
            headers.insert(COOKIE, value);
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn sent(set: &[&str], from: &str, to: &str) -> Option<String> {
        let mut jar = CookieJar::default();
        let mut headers = HeaderMap::new();
        for one in set {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(one.as_bytes()).unwrap());
        }
        jar.keep(&from.parse().unwrap(), &headers);
        let mut headers = HeaderMap::new();
        jar.add_to(&to.parse().unwrap(), &mut headers);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_goes_where_it_belongs() {
        let (a, b) = ("https://a.example/x", "https://b.example/");
        assert_eq!(sent(&["one=1; HttpOnly"], a, "https://a.example/"), Some("one=1".to_owned()));
        assert_eq!(sent(&["one=1"], a, b), None);
        assert_eq!(sent(&["one=1; Domain=example"], a, b), Some("one=1".to_owned()));
        assert_eq!(sent(&["one=1; Domain=b.example"], a, b), None);
        assert_eq!(sent(&["one=1; Path=/y"], a, "https://a.example/x"), None);
        assert_eq!(sent(&["one=1; Secure"], a, "http://a.example/"), None);
        assert_eq!(sent(&["one=1", "one=; Max-Age=0"], a, a), None);
        assert_eq!(sent(&["no cookie", "", "=", "one=1"], a, a), Some("one=1".to_owned()));
    }

    #[test]
    fn what_the_monitor_sends_comes_first_and_stays_secret() {
        let mut jar = CookieJar::default();
        let mut headers = HeaderMap::new();
        headers.insert(SET_COOKIE, HeaderValue::from_static("two=2"));
        let url = "http://a.example/".parse().unwrap();
        jar.keep(&url, &headers);
        let mut own = HeaderValue::from_static("one=1");
        own.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, own);
        jar.add_to(&url, &mut headers);
        assert_eq!(headers[COOKIE], "one=1; two=2");
        assert!(headers[COOKIE].is_sensitive());
    }
}
