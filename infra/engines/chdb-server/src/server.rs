//! Listens, serves connections, and ends cleanly.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authentication::Account;
use crate::engine::Engine;
use crate::handler::Service;
use crate::session::Sessions;
use crate::{Config, Error, ffi};

/// Statements that run at once; more wait.
const CONCURRENT_STATEMENTS: usize = 64;
/// How long requests may go on after SIGTERM.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const SESSION_SWEEP: Duration = Duration::from_secs(5);
/// After an accept that failed, say for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until a signal, closes the engine, and ends the process.
pub(crate) async fn serve(config: Config) -> Result<Infallible, Error> {
    if let Err(error) = ffi::raise_open_files_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let signals = Signals::new().map_err(Error::Runtime)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| Error::Listen { address: config.listen, source })?;
    let address = listener.local_addr().map_err(Error::Runtime)?;
    let engine = Engine::start(&config.library, &config.path)?;
    let service = Arc::new(Service {
        engine,
        sessions: Sessions::default(),
        account: Account { user: config.user, password: config.password },
        permits: Arc::new(Semaphore::new(CONCURRENT_STATEMENTS)),
    });
    announce(&format!("listening on http://{address}"));
    accept(listener, signals, &service).await;
    let all_closed = service.permits.available_permits() == CONCURRENT_STATEMENTS;
    service.sessions.clear();
    // A statement that does not end holds its connection; what it has not acknowledged may be lost.
    if all_closed {
        service.engine.close();
    }
    ffi::exit_now(0)
}

fn announce(line: &str) {
    let mut output = std::io::stdout().lock();
    // A parent that closed the pipe does not want the line.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

async fn accept(listener: TcpListener, mut signals: Signals, service: &Arc<Service>) {
    let connections = TaskTracker::new();
    let shutdown = CancellationToken::new();
    let mut sweep = tokio::time::interval(SESSION_SWEEP);
    loop {
        tokio::select! {
            () = signals.received() => break,
            _ = sweep.tick() => {
                let service = service.clone();
                // Closing a connection is a call into the engine.
                tokio::task::spawn_blocking(move || service.sessions.expire());
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, service.clone(), shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    shutdown.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN_TIME, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests are broken off");
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>, shutdown: CancellationToken) {
    // Without it a small answer waits 40 ms for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let handler = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.handle(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), handler);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
