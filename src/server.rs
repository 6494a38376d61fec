//! Serving HTTP: the two halves of the interface under one roof.

use std::net::SocketAddr;
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
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// How long connections that are still at work may take when the process stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the head of a request may take to come, and a connection may lie idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

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
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve_within(HEAD_TIME, listener, routes, shutdown).await;
    Ok(())
}

/// The same, where the head of a request may take `head_time`. HTTP/1.1 alone: browsers speak HTTP/2 only
/// to what does TLS, which is a proxy's work.
async fn serve_within(
    head_time: Duration,
    mut listener: TcpListener,
    routes: Router,
    shutdown: CancellationToken,
) {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_time);
    let under_way = TaskTracker::new();
    loop {
        // What fails here is waited out by `accept`: no connection ends the server.
        let (stream, peer) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = Listener::accept(&mut listener) => accepted,
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    /// What a server answers to `said`, to its end.
    async fn answer(said: &str) -> String {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(async || "fine"));
        let stop = CancellationToken::new();
        let head_time = Duration::from_millis(200);
        let server = tokio::spawn(serve_within(head_time, listener, routes, stop.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut text = String::new();
        // Ends only when the server closes the connection.
        let read = stream.read_to_string(&mut text);
        let closed = tokio::time::timeout(Duration::from_secs(20), read).await;
        assert!(closed.is_ok(), "not closed after {said:?}");
        stop.cancel();
        server.await.unwrap();
        text
    }

    #[tokio::test]
    async fn who_does_not_get_on_with_a_request_is_cut_off() {
        for said in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: a\r\nx: "] {
            assert!(!answer(said).await.contains("fine"), "{said}");
        }
        let whole = answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(whole.ends_with("fine"), "answered, and cut off when it lay idle: {whole}");
    }

    #[tokio::test]
    async fn more_headers_than_any_client_sends_are_refused() {
        let headers = |number: usize| "x: y\r\n".repeat(number);
        let many = |number| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", headers(number));
        assert!(answer(&many(50)).await.starts_with("HTTP/1.1 200"));
        assert!(answer(&many(200)).await.starts_with("HTTP/1.1 431"));
    }
}
