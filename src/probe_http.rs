//! What every process answers about itself: `/healthz`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
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

/// The routes.
pub(crate) fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    let answer_ready = async |State(readiness): State<Readiness>| {
        let status = if readiness.all() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(json!({ "ready": readiness.all(), "roles": readiness.by_role() })))
    };
    let answer_metrics = async move || {
        metrics.run_upkeep();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response()
    };
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

    #[tokio::test]
    async fn a_panic_in_a_background_task_of_a_role_is_seen_at_readyz() {
        let readiness = Readiness::default();
        let ready = readiness.of_role("server");
        ready.set(true);
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let routes = router(readiness, metrics);
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
