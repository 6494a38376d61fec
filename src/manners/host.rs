//! Which host a request is for.

use axum::extract::Request;
use axum::http::{Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use pulsetrail_infra::http::Problem;

/// Refuses a request of HTTP/1.1 without `Host`, or with several (RFC 9112, 3.2): a proxy before this server could
/// take it for another one.
pub(super) async fn require_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        let detail = "A request of HTTP/1.1 must have one Host header.";
        return Problem::bad_request(detail).into_response();
    }
    next.run(request).await
}
