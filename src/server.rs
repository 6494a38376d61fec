//! Serving HTTP: the two halves of the interface under one roof.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

/// How long connections that are still at work may take when the process stops.
const DRAIN: Duration = Duration::from_secs(5);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes an address, or says that somebody else has it.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "PULSETRAIL_LISTEN: {address} cannot be listened on; is it taken by another program?"
        )
    })
}

/// Adds what every route has: a request id, one form of errors, one log line a request.
pub(crate) fn with_manners(routes: Router) -> Router {
    routes
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The resource does not know this method.",
            )
        })
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Problem::internal("a handler panicked"))
        }))
        .layer(from_fn(observe))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

async fn observe(request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let request_id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    metrics::http_request(format!("{method} {route}"), status, took.as_secs_f64());
    if status >= 500 {
        tracing::error!(
            http.method = %method,
            http.route = route,
            http.status = status,
            request.id = request_id,
            "a request failed"
        );
    } else {
        tracing::debug!(
            http.method = %method,
            http.route = route,
            http.status = status,
            http.duration_ms = took.as_millis() as u64,
            request.id = request_id,
            "a request was answered"
        );
    }
    response
}

/// Serves until `shutdown`, and then for a while until the last answer is out.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let told = shutdown.clone();
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Small answers must not wait for acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let serving = axum::serve(listener, service)
        .with_graceful_shutdown(async move { told.cancelled().await });
    tokio::select! {
        served = serving.into_future() => served.context("HTTP cannot be served"),
        () = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        } => Ok(()),
    }
}
