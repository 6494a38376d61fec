//! The layers alone, over routes of the tests' own.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Version};
use axum::routing::get;
use tower::ServiceExt as _;

use super::*;

fn routes(variables: &[(&str, &str)]) -> Router {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let settings = Settings::from_environment(variables.iter().map(own)).unwrap();
    let broken = async || Problem::internal("the cause");
    let slow = async || {
        std::future::pending::<()>().await;
        "never"
    };
    let routes = Router::new()
        .route("/fine", get(async || "fine"))
        .route("/broken", get(broken))
        .route("/slow", get(slow))
        .route("/panic", get(async || if true { panic!("a bug") } else { "no" }));
    with_manners(routes, &settings)
}

async fn ask(routes: Router, request: Request) -> (u16, HeaderMap, serde_json::Value) {
    let (parts, body) = routes.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 10_000).await.unwrap();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap_or_default())
}

fn request(path: &str) -> Request {
    Request::get(path).header("host", "status.test").body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_failure_says_its_request_id_and_nothing_of_its_cause() {
    for path in ["/broken", "/panic"] {
        let (status, headers, body) = ask(routes(&[]), request(path)).await;
        assert_eq!(status, 500, "{path}");
        assert_eq!(body["request_id"], headers["x-request-id"].to_str().unwrap());
        assert_eq!(headers["content-type"], "application/problem+json");
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["code", "request_id", "status", "title"]);
    }
}

#[tokio::test]
async fn a_request_takes_no_longer_than_it_may() {
    let (status, headers, body) =
        ask(routes(&[("PULSETRAIL_REQUEST_SECONDS", "1")]), request("/slow")).await;
    assert_eq!((status, &headers["retry-after"]), (503, &HeaderValue::from_static("1")));
    assert_eq!(body["code"], "unavailable");
}

#[tokio::test]
async fn a_request_has_no_more_headers_than_it_may() {
    let with = |number: usize| {
        let mut request = request("/fine");
        for _ in 0..number {
            request.headers_mut().append("x-some", HeaderValue::from_static("value"));
        }
        request
    };
    // Besides the host, two are made here: the request's id and its trace.
    assert_eq!(ask(routes(&[]), with(MAX_HEADERS - 3)).await.0, 200);
    let (status, headers, body) = ask(routes(&[]), with(MAX_HEADERS)).await;
    assert_eq!((status, &body["code"]), (431, &"too_many_headers".into()));
    assert!(headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn no_route_is_given_a_nul() {
    for path in ["/fine?q=%00", "/fine?%00=a", "/fine?q=a%25%00", "/%00", "/nowhere?q=%00"] {
        let (status, _, body) = ask(routes(&[]), request(path)).await;
        assert_eq!((status, &body["code"]), (400, &"bad_request".into()), "{path}");
    }
    assert_eq!(ask(routes(&[]), request("/fine?q=%2500")).await.0, 200, "a percent sign and zeros");
}

#[tokio::test]
async fn a_request_of_http_1_1_names_one_host() {
    let of = |version: Version, hosts: &[&str]| {
        let mut request = Request::get("/fine").version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(Body::empty()).unwrap()
    };
    for (version, hosts, status) in [
        (Version::HTTP_11, &["a.test"][..], 200),
        (Version::HTTP_11, &[], 400),
        (Version::HTTP_11, &["a.test", "b.test"], 400),
        // They have none, or it is in the address.
        (Version::HTTP_10, &[], 200),
        (Version::HTTP_2, &[], 200),
    ] {
        let (got, _, body) = ask(routes(&[]), of(version, hosts)).await;
        assert_eq!(got, status, "{version:?} {hosts:?}: {body}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    assert_eq!(ask(routes(&[]), request("/nowhere")).await.2["code"], "not_found");
    let post = Request::post("/fine").header("host", "status.test").body(Body::empty()).unwrap();
    let (status, headers, body) = ask(routes(&[]), post).await;
    assert_eq!((status, &body["code"]), (405, &"method_not_allowed".into()));
    assert_eq!(headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn browsers_are_told_to_be_careful() {
    let (_, headers, _) = ask(routes(&[]), request("/fine")).await;
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(!headers.contains_key("strict-transport-security"));
    let secure = [("PULSETRAIL_PUBLIC_ORIGIN", "https://status.test")];
    let (_, headers, _) = ask(routes(&secure), request("/fine")).await;
    assert!(headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn other_sites_are_let_in_only_where_that_was_set() {
    let from = |origin: &str| {
        Request::get("/fine")
            .header("host", "status.test")
            .header("origin", origin)
            .body(Body::empty())
            .unwrap()
    };
    let allowed = async |variables: &[(&str, &str)], origin: &str| {
        ask(routes(variables), from(origin)).await.1.contains_key("access-control-allow-origin")
    };
    let set = [("PULSETRAIL_CORS_ORIGINS", "https://a.test")];
    assert!(!allowed(&[], "https://a.test").await);
    assert!(allowed(&set, "https://a.test").await);
    assert!(!allowed(&set, "https://b.test").await);
}

/// What a browser asks before it sends a request that a form could not send.
#[tokio::test]
async fn a_preflight_is_answered_to_the_sites_that_were_set_and_to_no_other() {
    let preflight = |origin: &str| {
        Request::builder()
            .method(Method::OPTIONS)
            .uri("/fine")
            .header("host", "status.test")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,if-match,idempotency-key")
            .body(Body::empty())
            .unwrap()
    };
    let set = [("PULSETRAIL_CORS_ORIGINS", "https://a.test,https://b.test")];
    for origin in ["https://a.test", "https://b.test"] {
        let (status, headers, _) = ask(routes(&set), preflight(origin)).await;
        assert_eq!(
            (status, headers["access-control-allow-origin"].as_bytes()),
            (200, origin.as_bytes())
        );
        let list = |name: &str| headers[name].to_str().unwrap().to_lowercase();
        assert!(list("access-control-allow-methods").contains("patch"));
        for asked in ["authorization", "content-type", "if-match", "idempotency-key"] {
            assert!(list("access-control-allow-headers").contains(asked), "{asked}");
        }
        assert!(list("vary").contains("origin"), "a cache keeps the answers apart");
        // A cookie stays with the pages of its own site.
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }
    let (_, other, _) = ask(routes(&set), preflight("https://a.test.evil.test")).await;
    assert!(!other.contains_key("access-control-allow-origin"), "{other:?}");
    let (status, none, _) = ask(routes(&[]), preflight("https://a.test")).await;
    assert_eq!(status, 405, "nobody is let in who was not set");
    assert!(!none.keys().any(|name| name.as_str().starts_with("access-control")), "{none:?}");
}

#[tokio::test]
async fn a_request_id_is_taken_over_where_it_is_a_good_one() {
    let id = async |id: &str| {
        let request =
            Request::get("/fine").header("host", "status.test").header("x-request-id", id);
        let answer = ask(routes(&[]), request.body(Body::empty()).unwrap()).await;
        answer.1["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id("a-1").await, "a-1");
    assert_ne!(id("a b").await, "a b");
}
