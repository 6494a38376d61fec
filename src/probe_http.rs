//! What every process answers about itself: `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use pulsetrail_infra::http::{Problem, secret_hash};
use pulsetrail_infra::secrets::SecretText;
use pulsetrail_infra::supervised::Supervisor;
use serde_json::json;

/// Which roles of this process do their work.
#[derive(Clone, Default)]
pub(crate) struct Readiness {
    roles: Arc<Mutex<BTreeMap<String, RoleReady>>>,
}

/// One role's part of it. A role that ends is not ready any more, nor is one of whose background tasks
/// one failed.
#[derive(Clone, Default)]
pub(crate) struct RoleReady {
    works: Arc<AtomicBool>,
    tasks: Supervisor,
}

impl Readiness {
    /// A role that is not ready yet.
    pub(crate) fn of_role(&self, name: &str) -> RoleReady {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.entry(name.to_owned()).or_default().clone()
    }

    fn by_role(&self) -> BTreeMap<String, bool> {
        let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.iter().map(|(name, ready)| (name.clone(), ready.get())).collect()
    }

    /// Whether all roles are ready.
    pub(crate) fn all(&self) -> bool {
        self.by_role().values().all(|ready| *ready)
    }
}

impl RoleReady {
    pub(crate) fn get(&self) -> bool {
        self.works.load(Ordering::Acquire) && self.tasks.is_healthy()
    }

    pub(crate) fn set(&self, ready: bool) {
        self.works.store(ready, Ordering::Release);
    }

    /// Owns the role's background tasks.
    pub(crate) fn tasks(&self) -> &Supervisor {
        &self.tasks
    }
}

/// The metrics of this process, and what they are shown for.
pub(crate) struct Metrics {
    /// Renders them.
    pub(crate) handle: PrometheusHandle,
    /// What is asked for; without it nobody sees them.
    pub(crate) token: Option<SecretText>,
}

impl Metrics {
    /// Whether a request shows the token. Hashes are compared: how long that takes tells nothing.
    fn are_for(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let shown = shown.and_then(|shown| shown.split_once(' '));
        let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (Some((_, shown)), Some(token)) = (shown, &self.token) else { return false };
        secret_hash(shown.trim()) == secret_hash(token.expose())
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        if !self.are_for(headers) {
            let detail = "Metrics are shown for PULSETRAIL_METRICS_TOKEN: \
                          Authorization: Bearer <token>.";
            return Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response();
        }
        self.handle.run_upkeep();
        let text = self.handle.render();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
    }
}

/// The routes.
pub(crate) fn router(readiness: Readiness, metrics: Metrics) -> Router {
    let answer_ready = async |State(readiness): State<Readiness>| {
        let status = if readiness.all() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(json!({ "ready": readiness.all(), "roles": readiness.by_role() })))
    };
    let metrics = Arc::new(metrics);
    let answer_metrics = async move |headers: HeaderMap| metrics.answer(&headers);
    Router::new()
        .route("/healthz", get(async || Json(json!({ "alive": true }))))
        .route("/readyz", get(answer_ready))
        .with_state(readiness)
        .route("/metrics", get(answer_metrics))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt as _;

    use super::*;

    fn metrics(token: Option<&str>) -> Metrics {
        let handle = PrometheusBuilder::new().build_recorder().handle();
        Metrics { handle, token: token.map(|token| token.to_owned().into()) }
    }

    #[tokio::test]
    async fn metrics_are_shown_for_the_token_alone() {
        let status = async |token: Option<&str>, shown: Option<&str>| {
            let routes = router(Readiness::default(), metrics(token));
            let mut request = Request::get("/metrics");
            if let Some(shown) = shown {
                request = request.header(header::AUTHORIZATION, shown);
            }
            let request = request.body(Body::empty()).unwrap();
            routes.oneshot(request).await.unwrap().status().as_u16()
        };
        let token = Some("a token of 16 by");
        assert_eq!(status(token, Some("Bearer a token of 16 by")).await, 200);
        for shown in
            [None, Some("Bearer a token of 16 bx"), Some("Bearer "), Some("a token of 16 by")]
        {
            assert_eq!(status(token, shown).await, 401, "{shown:?}");
            assert_eq!(status(None, shown).await, 401, "{shown:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_background_task_of_a_role_is_seen_at_readyz() {
        let readiness = Readiness::default();
        let ready = readiness.of_role("server");
        ready.set(true);
        let routes = router(readiness, metrics(None));
        let ask = async || {
            let request = Request::get("/readyz").body(Body::empty()).unwrap();
            routes.clone().oneshot(request).await.unwrap().status()
        };
        ready.tasks().spawn("works", async {}).await.unwrap();
        assert_eq!(ask().await, StatusCode::OK);
        ready.tasks().spawn("breaks", async { panic!("a bug") }).await.unwrap();
        assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
