//! What every route has: a request id, a limit of time, one form of errors, headers that keep browsers
//! safe, compression, and one line in the log.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use pulsetrail_infra::http::{Problem, RequestTime};
use pulsetrail_infra::metrics;
use pulsetrail_infra::settings::{Origin, Settings};
use pulsetrail_infra::trace::{TRACEPARENT, Traceparent};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::request_id::{MakeRequestUuid, SetRequestIdLayer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Headers that a request may have. With more than 100 hyper refuses it, without a word.
const MAX_HEADERS: usize = 64;

/// Adds it all to the routes.
pub(crate) fn with_manners(routes: Router, settings: &Settings) -> Router {
    let time = Duration::from_secs(u64::from(settings.request_seconds));
    let secure = settings.ingress.is_secure();
    let routes = routes
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            let detail = "The resource does not know this method.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .layer(from_fn_with_state(time, limit_time))
        .layer(from_fn(limit_headers))
        .layer(CatchPanicLayer::custom(|_| Problem::internal("a handler panicked").into_response()))
        .layer(CompressionLayer::new())
        .layer(from_fn_with_state(secure, protect));
    let routes = match cors(&settings.cors_origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes
        .layer(from_fn(observe))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(from_fn(only_good_request_ids))
}

/// Other sites' pages may use the interface with a token; cookies stay where they are.
fn cors(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok()).collect();
    let own = ["idempotency-key", "x-request-id", "traceparent"].map(HeaderName::from_static);
    let asked = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH];
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(asked.into_iter().chain(own).collect::<Vec<_>>())
            .expose_headers([header::ETAG, header::LOCATION, header::RETRY_AFTER, REQUEST_ID])
            .max_age(Duration::from_secs(600)),
    )
}

/// The log and the headers take no text of any form and length.
async fn only_good_request_ids(mut request: Request, next: Next) -> Response {
    let good = |id: &str| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    let given = request.headers().get(&REQUEST_ID);
    if given.is_some_and(|id| !id.to_str().is_ok_and(good)) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    next.run(request).await
}

/// The trace that a request is a part of: the caller's, or a new one.
fn trace(headers: &mut HeaderMap) -> Traceparent {
    let given = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
    given.and_then(Traceparent::parse).unwrap_or_else(|| {
        let made = Traceparent::random();
        if let Ok(value) = HeaderValue::from_str(made.as_str()) {
            headers.insert(TRACEPARENT, value);
        }
        made
    })
}

async fn limit_headers(request: Request, next: Next) -> Response {
    if request.headers().len() <= MAX_HEADERS {
        return next.run(request).await;
    }
    let detail = format!("A request may have {MAX_HEADERS} headers.");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "too_many_headers", detail).into_response()
}

async fn limit_time(State(time): State<Duration>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(RequestTime(time));
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("a request took too long").into_response(),
    }
}

/// Headers that keep a browser from doing with an answer what it is not for (OWASP Secure Headers).
/// What a page says of itself counts more.
async fn protect(State(secure): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let mut headers = vec![
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    if secure {
        headers.push((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
    }
    for (name, value) in headers {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Tells of a request: a line in the log, a metric, its id in the answer. A 5xx has its id and nothing
/// else of what went wrong.
async fn observe(mut request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let request_id = request_id(request.headers());
    let trace = trace(request.headers_mut());
    let begun = Instant::now();
    let mut response = next.run(request).await;
    let (status, took) = (response.status(), begun.elapsed());
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let request_id = request_id.as_deref().map(Into::into);
        let named = Problem { request_id, ..problem };
        let (mut parts, _) = response.into_parts();
        let (again, body) = named.into_response().into_parts();
        parts.headers.remove(header::CONTENT_ENCODING);
        parts.headers.extend(again.headers);
        response = Response::from_parts(parts, body);
    }
    let id = request_id.unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    metrics::http_request(format!("{method} {route}"), status.as_u16(), took.as_secs_f64());
    let http = Answered { method: &method, route: &route, status: status.as_u16(), took };
    http.tell(&id, trace.trace_id());
    response
}

/// What the log says of a request.
struct Answered<'a> {
    method: &'a Method,
    route: &'a str,
    status: u16,
    took: Duration,
}

impl Answered<'_> {
    fn tell(&self, request_id: &str, trace_id: &str) {
        let duration_us = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        if self.status >= 500 {
            tracing::error!(
                http.method = %self.method,
                http.route = self.route,
                http.status = self.status,
                http.duration_us = duration_us,
                request.id = request_id,
                trace.id = trace_id,
                "a request failed"
            );
        } else {
            tracing::info!(
                http.method = %self.method,
                http.route = self.route,
                http.status = self.status,
                http.duration_us = duration_us,
                request.id = request_id,
                trace.id = trace_id,
                "a request was answered"
            );
        }
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
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
        Request::get(path).body(Body::empty()).unwrap()
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
        // Two are made here: the request's id and its trace.
        assert_eq!(ask(routes(&[]), with(MAX_HEADERS - 2)).await.0, 200);
        let (status, headers, body) = ask(routes(&[]), with(MAX_HEADERS)).await;
        assert_eq!((status, &body["code"]), (431, &"too_many_headers".into()));
        assert!(headers.contains_key("x-request-id"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_a_problem_too() {
        assert_eq!(ask(routes(&[]), request("/nowhere")).await.2["code"], "not_found");
        let post = Request::post("/fine").body(Body::empty()).unwrap();
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
            Request::get("/fine").header("origin", origin).body(Body::empty()).unwrap()
        };
        let allowed = async |variables: &[(&str, &str)], origin: &str| {
            ask(routes(variables), from(origin)).await.1.contains_key("access-control-allow-origin")
        };
        let set = [("PULSETRAIL_CORS_ORIGINS", "https://a.test")];
        assert!(!allowed(&[], "https://a.test").await);
        assert!(allowed(&set, "https://a.test").await);
        assert!(!allowed(&set, "https://b.test").await);
    }

    #[tokio::test]
    async fn a_request_id_is_taken_over_where_it_is_a_good_one() {
        let id = async |id: &str| {
            let request = Request::get("/fine").header("x-request-id", id);
            let answer = ask(routes(&[]), request.body(Body::empty()).unwrap()).await;
            answer.1["x-request-id"].to_str().unwrap().to_owned()
        };
        assert_eq!(id("a-1").await, "a-1");
        assert_ne!(id("a b").await, "a b");
    }
}
