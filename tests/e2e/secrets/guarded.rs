//! A target that lets only those in who know its secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(super) const PASSWORD: &str = "correct+battery/staple";

/// How it is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Basic,
    Bearer,
    Header,
}

impl Way {
    /// The part of a target that says who asks.
    pub(super) fn describe(self, secret: &str) -> Value {
        match self {
            Self::Basic => {
                json!({"auth": {"type": "basic", "username": "ada", "password": secret}})
            }
            Self::Bearer => json!({"auth": {"type": "bearer", "token": secret}}),
            Self::Header => json!({"secret_headers": {"X-Key": secret}}),
        }
    }

    /// Where the secret stands in a target.
    pub(super) fn secret_in(self, target: &Value) -> Value {
        match self {
            Self::Basic => target["auth"]["password"].clone(),
            Self::Bearer => target["auth"]["token"].clone(),
            Self::Header => target["secret_headers"]["X-Key"].clone(),
        }
    }

    fn knows(self, headers: &HeaderMap) -> bool {
        let (name, expected) = match self {
            // RFC 7617: `ada:correct+battery/staple`.
            Self::Basic => {
                ("authorization", "Basic YWRhOmNvcnJlY3QrYmF0dGVyeS9zdGFwbGU=".to_owned())
            }
            Self::Bearer => ("authorization", format!("Bearer {PASSWORD}")),
            Self::Header => ("x-key", PASSWORD.to_owned()),
        };
        headers.get(name).is_some_and(|value| value == expected.as_str())
    }
}

/// The target. It ends with the test.
pub(super) struct Guarded {
    way: Way,
    url: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    let_in: AtomicUsize,
    refused: AtomicUsize,
}

impl Guarded {
    pub(super) async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let counts = Arc::<Counts>::default();
        let routes = Router::new().fallback(any(answer)).with_state((way, counts.clone()));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { way, url, counts }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// A monitor's target that knows `secret`.
    pub(super) fn described(&self, secret: &str) -> Value {
        let mut target = self.way.describe(secret);
        target["type"] = json!("http");
        target["url"] = json!(self.url);
        target
    }

    /// How many requests it let in.
    pub(super) fn let_in(&self) -> usize {
        self.counts.let_in.load(Ordering::SeqCst)
    }

    /// How many it refused.
    pub(super) fn refused(&self) -> usize {
        self.counts.refused.load(Ordering::SeqCst)
    }
}

async fn answer(State((way, counts)): State<(Way, Arc<Counts>)>, headers: HeaderMap) -> StatusCode {
    if way.knows(&headers) {
        counts.let_in.fetch_add(1, Ordering::SeqCst);
        StatusCode::OK
    } else {
        counts.refused.fetch_add(1, Ordering::SeqCst);
        StatusCode::UNAUTHORIZED
    }
}
