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
use serde_json::json;

/// Which roles of this process do their work.
#[derive(Clone, Default)]
pub(crate) struct Readiness {
    roles: Arc<Mutex<BTreeMap<String, Arc<AtomicBool>>>>,
}

/// One role's part of it. A role that ends is not ready any more.
#[derive(Clone)]
pub(crate) struct RoleReady(Arc<AtomicBool>);

impl Readiness {
    /// A role that is not ready yet.
    pub(crate) fn of_role(&self, name: &str) -> RoleReady {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        RoleReady(roles.entry(name.to_owned()).or_default().clone())
    }

    fn by_role(&self) -> BTreeMap<String, bool> {
        let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.iter().map(|(name, ready)| (name.clone(), ready.load(Ordering::Acquire))).collect()
    }

    /// Whether all roles are ready.
    pub(crate) fn all(&self) -> bool {
        self.by_role().values().all(|ready| *ready)
    }
}

impl RoleReady {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
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
