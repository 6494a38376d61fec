//! `GET /system` and `GET /public/system`: what is alive, and how jobs flow. It is put together at most
//! once in a while, however many ask.

mod body;
mod engines;
mod read;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use pulsetrail_domain::Region;
use pulsetrail_infra::http::{Identity, Problem};
use pulsetrail_infra::instances::LiveProbers;
use pulsetrail_infra::kafka::Kafka;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub(crate) use self::body::{PublicSystemBody, SystemBody};
use crate::queries::{NoParameters, Parameters, QueryState};

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The installation as a server sees it. Cheap to clone.
#[derive(Clone)]
pub struct Installation {
    inner: Arc<Inner>,
}

struct Inner {
    kafka: Kafka,
    regions: Vec<Region>,
    probers: LiveProbers,
    newest: Mutex<Option<(Instant, Arc<SystemBody>)>>,
}

impl Installation {
    /// An installation with `regions`, whose `probers` somebody listens to.
    #[must_use]
    pub fn new(kafka: Kafka, regions: Vec<Region>, probers: LiveProbers) -> Self {
        Self { inner: Arc::new(Inner { kafka, regions, probers, newest: Mutex::default() }) }
    }

    /// The probers that are alive.
    pub(crate) fn probers(&self) -> &LiveProbers {
        &self.inner.probers
    }

    async fn look(&self, state: &QueryState) -> Arc<SystemBody> {
        // Whoever comes meanwhile waits for the same answer.
        let mut newest = self.inner.newest.lock().await;
        match newest.as_ref() {
            Some((at, body)) if at.elapsed() < GOOD_FOR => Arc::clone(body),
            _ => {
                let body = Arc::new(read::read(&self.inner, state).await);
                *newest = Some((Instant::now(), Arc::clone(&body)));
                body
            }
        }
    }
}

/// Shows operators what is alive: copies of roles, leases, queues, engines, and how long jobs take.
///
/// It names hosts and processes of the installation. Numbers alone are open to anybody at
/// `/api/v1/public/system`.
#[utoipa::path(
    get,
    path = "/api/v1/system",
    tag = "system",
    operation_id = "showSystem",
    responses((status = 200, description = "What is alive.", body = ref(pulsetrail_infra::http::schema_of::<SystemBody>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn show(
    identity: Identity,
    State(state): State<QueryState>,
    Parameters(NoParameters {}): Parameters<NoParameters>,
) -> Result<Json<SystemBody>, Problem> {
    identity.may_operate()?;
    Ok(Json(SystemBody::clone(&*state.installation().look(&state).await)))
}

/// Shows how much is alive, to anybody: numbers alone.
#[utoipa::path(
    get,
    path = "/api/v1/public/system",
    tag = "system",
    operation_id = "showPublicSystem",
    responses((status = 200, description = "How much is alive.", body = ref(pulsetrail_infra::http::schema_of::<PublicSystemBody>()))),
    security(()),
)]
pub(crate) async fn show_public(
    State(state): State<QueryState>,
    Parameters(NoParameters {}): Parameters<NoParameters>,
) -> Json<PublicSystemBody> {
    Json(PublicSystemBody::of(&*state.installation().look(&state).await))
}
