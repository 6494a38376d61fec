//! Where a request comes from: the address of its sender, and the page that a browser sent it from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use ipnet::IpNet;

/// What is known of the way that requests come.
#[derive(Clone, Debug, Default)]
pub struct Ingress {
    /// The proxies that may say whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// The origin that browsers see, such as `https://status.example.com`; none where they see the
    /// server itself.
    pub public_origin: Option<String>,
}

impl Ingress {
    /// Whom a request comes from, for limits: an IPv4 address, or the /64 that an IPv6 one is in. None
    /// where the server does not know.
    #[must_use]
    pub fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
        let trusted = |address: &IpAddr| {
            self.trusted_proxies.iter().any(|range| range.contains(&address.to_canonical()))
        };
        let mut client = peer.ip();
        if trusted(&client) {
            let said = parts.headers.get_all("x-forwarded-for").iter();
            let said: Vec<&str> = said
                .filter_map(|value| value.to_str().ok())
                .flat_map(|line| line.split(','))
                .collect();
            // From the nearest hop outwards; the first that is no proxy of ours is the client.
            for address in said.iter().rev() {
                let Ok(address) = address.trim().parse::<IpAddr>() else { break };
                client = address;
                if !trusted(&address) {
                    break;
                }
            }
        }
        Some(client_network(client))
    }

    /// Whether browsers come over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.public_origin.as_ref().is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Whether a request that shows a cookie may be answered: cookies go along wherever a request is
    /// made from, so one that changes something, or opens a connection, must come from a page of the
    /// same origin. A browser always says where it comes from; what does not say is refused.
    #[must_use]
    pub fn cookie_counts(&self, parts: &Parts) -> bool {
        let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if safe && !parts.headers.contains_key(header::UPGRADE) {
            return true;
        }
        parts.headers.contains_key(header::ORIGIN) && !self.comes_from_elsewhere(parts)
    }

    /// Whether a browser says that it sent the request from a page of another origin. With a GET for a page of the
    /// same origin it says nothing, unless it comes over TLS.
    #[must_use]
    pub fn comes_from_elsewhere(&self, parts: &Parts) -> bool {
        if text(&parts.headers, "sec-fetch-site").is_some_and(|site| site != "same-origin") {
            return true;
        }
        let Some(origin) = parts.headers.get(header::ORIGIN) else { return false };
        let Ok(origin) = origin.to_str() else { return true };
        let is_own = match &self.public_origin {
            Some(public) => origin.eq_ignore_ascii_case(public),
            None => text(&parts.headers, "host").is_some_and(|host| {
                origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
            }),
        };
        !is_own
    }
}

/// What a client is known by for limits: an IPv4 address, or the /64 that an IPv6 one is in, which one
/// subscriber has as a whole.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(method: &str, peer: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer: SocketAddr = peer.parse().unwrap();
        request.extension(ConnectInfo(peer)).body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_a_trusted_proxy_says_whom_it_speaks_for() {
        let ingress =
            Ingress { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Ingress::default() };
        let client = |peer: &str, said: &str| {
            let client = ingress.client(&parts("GET", peer, &[("x-forwarded-for", said)]));
            client.unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1:1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(client("10.0.0.1:1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(client("10.0.0.1:1", "203.0.113.9, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(client("10.0.0.1:1", "nonsense"), "10.0.0.1");
        assert_eq!(client("[2001:db8:1:2:3:4:5:6]:1", ""), "2001:db8:1:2::");
        assert_eq!(client("[::ffff:192.0.2.1]:1", ""), "192.0.2.1");
    }

    #[test]
    fn a_cookie_changes_something_only_from_a_page_of_the_same_origin() {
        let counts = |ingress: &Ingress, method: &str, headers: &[(&str, &str)]| {
            ingress.cookie_counts(&parts(method, "192.0.2.1:1", headers))
        };
        let (own, host) = (("origin", "http://status.test"), ("host", "status.test"));
        let bare = Ingress::default();
        assert!(counts(&bare, "GET", &[]));
        assert!(!counts(&bare, "GET", &[("upgrade", "websocket")]));
        assert!(counts(&bare, "GET", &[("upgrade", "websocket"), own, host]));
        assert!(!counts(&bare, "POST", &[host]));
        assert!(counts(&bare, "POST", &[own, host]));
        assert!(!counts(&bare, "POST", &[("origin", "http://evil.test"), host]));
        assert!(!counts(&bare, "POST", &[("origin", "null"), host]));
        assert!(!counts(&bare, "DELETE", &[own, host, ("sec-fetch-site", "same-site")]));
        let elsewhere = |headers: &[(&str, &str)]| {
            bare.comes_from_elsewhere(&parts("GET", "192.0.2.1:1", headers))
        };
        assert!(!elsewhere(&[host]) && !elsewhere(&[own, host]));
        assert!(!elsewhere(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(elsewhere(&[("origin", "http://evil.test"), host]));
        assert!(elsewhere(&[("origin", "null"), host]));
        assert!(elsewhere(&[host, ("sec-fetch-site", "cross-site")]));
        let public_origin = Some("https://status.test".to_owned());
        let behind = Ingress { public_origin, ..Ingress::default() };
        assert!(counts(&behind, "POST", &[("origin", "https://status.test"), ("host", "inner:1")]));
        assert!(!counts(&behind, "POST", &[own, host]));
        assert!(behind.is_secure() && !bare.is_secure());
    }
}
