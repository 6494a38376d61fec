//! What every route has: a request id, a limit of time, one form of errors, headers that keep browsers
//! safe, compression, and one line in the log.

mod host;
mod observe;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use pulsetrail_infra::http::{Problem, RequestTime};
use pulsetrail_infra::settings::{Origin, Settings};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::request_id::{MakeRequestUuid, SetRequestIdLayer};

use observe::{REQUEST_ID, observe, only_good_request_ids};

/// Headers that a request may have. With more than 100 hyper refuses it, without a word.
const MAX_HEADERS: usize = 64;

/// What a 429 says of the limit that was reached.
const RATE_LIMIT: [&str; 3] = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];

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
        .layer(from_fn(refuse_nul))
        .layer(from_fn(host::require_host))
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
    let own = ["idempotency-key", "last-event-id", "x-request-id", "traceparent"]
        .map(HeaderName::from_static);
    let asked = [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH];
    let told = [header::ETAG, header::LOCATION, header::RETRY_AFTER, REQUEST_ID];
    let limit = RATE_LIMIT.map(HeaderName::from_static);
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(asked.into_iter().chain(own).collect::<Vec<_>>())
            .expose_headers(told.into_iter().chain(limit).collect::<Vec<_>>())
            .max_age(Duration::from_secs(600)),
    )
}

async fn limit_headers(request: Request, next: Next) -> Response {
    if request.headers().len() <= MAX_HEADERS {
        return next.run(request).await;
    }
    let detail = format!("A request may have {MAX_HEADERS} headers.");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "too_many_headers", detail).into_response()
}

/// Refuses an address with a NUL in its path or its parameters: no text in Postgres can have one, and no
/// parameter means anything by it. In an address it can only stand as `%00`.
async fn refuse_nul(request: Request, next: Next) -> Response {
    let address = request.uri().path_and_query();
    if address.is_some_and(|address| address.as_str().contains("%00")) {
        let detail = "The path and the query must not contain %00.";
        return Problem::bad_request(detail).into_response();
    }
    next.run(request).await
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
