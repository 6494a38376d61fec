//! An HTTP target that does what a test tells it to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A target on loopback. It answers 200 until it is told otherwise.
pub struct Target {
    address: SocketAddr,
    behaviour: Arc<Behaviour>,
    open: Mutex<CancellationToken>,
}

#[derive(Default)]
struct Behaviour {
    status: AtomicU16,
    delay_ms: AtomicU64,
    requests: Mutex<Vec<SystemTime>>,
    paths: Mutex<Vec<String>>,
}

impl Target {
    /// Starts a target on a free port.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the listener's address");
        let behaviour = Arc::new(Behaviour { status: 200.into(), ..Behaviour::default() });
        let open = serve(listener, behaviour.clone());
        Self { address, behaviour, open: Mutex::new(open) }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers with `status` from now on.
    pub fn answer(&self, status: u16) {
        self.behaviour.status.store(status, Ordering::SeqCst);
    }

    /// Answers after `delay` from now on.
    pub fn delay(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).expect("a delay of this age");
        self.behaviour.delay_ms.store(delay, Ordering::SeqCst);
    }

    /// Refuses connections from now on.
    ///
    /// # Panics
    /// When another thread panicked at it.
    pub fn die(&self) {
        self.open.lock().expect("nobody panicked").cancel();
    }

    /// Accepts connections again, at the same address.
    ///
    /// # Panics
    /// When the port was taken by somebody else meanwhile.
    pub async fn come_back(&self) {
        // The old listener is closed by a task of its own, which may not have run yet.
        let listener = crate::eventually("the target's port is free again", async || {
            TcpListener::bind(self.address).await.ok()
        })
        .await;
        let open = serve(listener, self.behaviour.clone());
        *self.open.lock().expect("nobody panicked") = open;
    }

    /// When each request came.
    ///
    /// # Panics
    /// When another thread panicked at it.
    pub fn requests(&self) -> Vec<SystemTime> {
        self.behaviour.requests.lock().expect("nobody panicked").clone()
    }

    /// The path of each request, in the same order.
    ///
    /// # Panics
    /// When another thread panicked at it.
    pub fn paths(&self) -> Vec<String> {
        self.behaviour.paths.lock().expect("nobody panicked").clone()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.die();
    }
}

fn serve(listener: TcpListener, behaviour: Arc<Behaviour>) -> CancellationToken {
    let open = CancellationToken::new();
    let closed = open.clone();
    let routes = Router::new().fallback(any(answer)).with_state(behaviour);
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, routes).into_future() => {}
            () = closed.cancelled() => {}
        }
    });
    open
}

async fn answer(State(behaviour): State<Arc<Behaviour>>, uri: Uri) -> (StatusCode, &'static str) {
    behaviour.paths.lock().expect("nobody panicked").push(uri.path().to_owned());
    behaviour.requests.lock().expect("nobody panicked").push(SystemTime::now());
    let delay = behaviour.delay_ms.load(Ordering::SeqCst);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let status = behaviour.status.load(Ordering::SeqCst);
    (StatusCode::from_u16(status).expect("a status that a test chose"), "as told")
}
