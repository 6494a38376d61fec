//! Serving HTTP: the two halves of the interface under one roof.

mod connections;
mod write_deadline;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::serve::Listener;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pulsetrail_infra::metrics;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use connections::{Connections, Full};
use write_deadline::WriteDeadline;

pub(crate) use connections::ConnectionLimits;

/// How long connections that are still at work may take when the process stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the head of a request may take to come, and a connection may lie idle.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long a client may leave no room for an answer, or for a message of the live feed.
const WRITE_TIME: Duration = Duration::from_secs(60);
/// What a connection is told that is not taken.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Takes an address, or says that somebody else has it.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "PULSETRAIL_LISTEN: {address} cannot be listened on; is it taken by another program?"
        )
    })
}

/// Serves until `shutdown`, and then for a while until the last answer is out.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let times = Times { head: HEAD_TIME, write: WRITE_TIME };
    serve_within(times, listener, routes, Connections::new(limits), shutdown).await;
    Ok(())
}

/// How long a client may keep a connection waiting.
#[derive(Clone, Copy)]
struct Times {
    /// For the head of a request.
    head: Duration,
    /// For room for an answer.
    write: Duration,
}

/// The same with limits in hand. HTTP/1.1 alone: browsers speak HTTP/2 only to what does TLS, which is a
/// proxy's work.
async fn serve_within(
    times: Times,
    mut listener: TcpListener,
    routes: Router,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
) {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(times.head);
    let under_way = TaskTracker::new();
    loop {
        // What fails here is waited out by `accept`: no connection ends the server.
        let (stream, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = Listener::accept(&mut listener) => accepted,
        };
        let place = match connections.admit(peer.ip()) {
            Ok(place) => place,
            Err(full) => {
                refuse(stream, full);
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            // Small answers would wait for acknowledgements.
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let routes = routes.clone();
        let service = tower::service_fn(move |request: Request<_>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            routes.clone().oneshot(request)
        });
        let stream = WriteDeadline::new(stream, times.write, place);
        let connection = builder
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        let told = shutdown.clone();
        under_way.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended before its time");
            }
        });
    }
    // Nobody connects from now on.
    drop(listener);
    under_way.close();
    let _ = tokio::time::timeout(DRAIN, under_way.wait()).await;
}

/// Tells a client that there is no room for it, as far as that can be done without waiting.
fn refuse(stream: TcpStream, full: Full) {
    metrics::connection_refused(full.label());
    // It does not block, and there is room for the first bytes of a connection.
    if let Err(error) = stream.into_std().and_then(|mut stream| stream.write(FULL)) {
        tracing::debug!(%error, "a connection was refused without a word");
    }
}

#[cfg(test)]
mod tests;
