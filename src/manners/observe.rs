//! What the log, the metrics and the caller are told of a request.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::metrics;
use pulsetrail_infra::trace::{TRACEPARENT, Traceparent};

/// Names a request in its answer and in the log.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is taken over, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The log and the headers take no text of any form and length.
pub(super) async fn only_good_request_ids(mut request: Request, next: Next) -> Response {
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

/// Tells of a request: a line in the log, a metric, its id in the answer. A 5xx has its id and nothing
/// else of what went wrong.
pub(super) async fn observe(mut request: Request, next: Next) -> Response {
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
    metrics::http_request(&method, &route, status, took.as_secs_f64());
    let method = metrics::method_label(&method);
    let http = Answered { method, route: &route, status: status.as_u16(), took };
    http.tell(&id, trace.trace_id());
    response
}

/// What the log says of a request.
struct Answered<'a> {
    method: &'static str,
    route: &'a str,
    status: u16,
    took: Duration,
}

impl Answered<'_> {
    fn tell(&self, request_id: &str, trace_id: &str) {
        let duration_us = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        if self.status >= 500 {
            tracing::error!(
                http.method = self.method,
                http.route = self.route,
                http.status = self.status,
                http.duration_us = duration_us,
                request.id = request_id,
                trace.id = trace_id,
                "a request failed"
            );
        } else {
            tracing::info!(
                http.method = self.method,
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
