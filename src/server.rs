//! Serving HTTP: the two halves of the interface under one roof.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long connections that are still at work may take when the process stops.
const DRAIN: Duration = Duration::from_secs(5);

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
