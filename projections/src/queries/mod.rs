//! The read side of the HTTP interface. Every read is scoped to the caller's organization: what
//! belongs to another one is 404, as if there were none.

mod annotations;
mod checks;
mod cursor;
mod density;
mod egress;
mod events;
mod extract;
mod figures;
mod latency;
mod monitors;
mod step;
mod uptime;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use clickhouse::Client;
use ipnet::IpNet;
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::{
    AnnotationBody, Authenticator, Components, MonitorBody, Page, Problem,
};
use pulsetrail_infra::store::Store;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::live::{self, LiveHub};
use crate::system::{self, Installation};

pub(crate) use extract::{NoParameters, Parameters};

/// What the handlers need.
#[derive(Clone)]
pub struct QueryState {
    store: Store,
    clickhouse: Client,
    authenticator: Authenticator,
    live: LiveHub,
    egress_allow: Arc<[IpNet]>,
    installation: Installation,
}

impl QueryState {
    /// Over the cell's store and its projections.
    #[must_use]
    pub fn new(
        store: Store,
        clickhouse: Client,
        authenticator: Authenticator,
        live: LiveHub,
        installation: Installation,
    ) -> Self {
        // A month of checks is a partition, and no check is in two.
        let clickhouse =
            clickhouse.with_setting("do_not_merge_across_partitions_select_final", "1");
        Self { store, clickhouse, authenticator, live, egress_allow: Arc::default(), installation }
    }

    /// The same, of an installation that lets these ranges through although the table refuses them.
    #[must_use]
    pub fn with_egress_allow(self, allow: &[IpNet]) -> Self {
        Self { egress_allow: allow.into(), ..self }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn clickhouse(&self) -> &Client {
        &self.clickhouse
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.installation
    }
}

impl FromRef<QueryState> for Authenticator {
    fn from_ref(state: &QueryState) -> Self {
        state.authenticator.clone()
    }
}

impl FromRef<QueryState> for LiveHub {
    fn from_ref(state: &QueryState) -> Self {
        state.live.clone()
    }
}

/// Every route of the read side, the live feed included.
pub fn router(state: QueryState) -> Router {
    let (routes, _) = documented_router().split_for_parts();
    routes.with_state(state)
}

/// The same, with the documentation of each route.
pub fn documented_router() -> OpenApiRouter<QueryState> {
    OpenApiRouter::new()
        .routes(routes!(monitors::list))
        .routes(routes!(monitors::show))
        .routes(routes!(checks::list))
        .routes(routes!(uptime::of_monitor))
        .routes(routes!(events::list))
        .routes(routes!(uptime::of_organization))
        .routes(routes!(uptime::outages::of_monitor))
        .routes(routes!(uptime::outages::of_organization))
        .routes(routes!(latency::of_monitor))
        .routes(routes!(density::show))
        .routes(routes!(annotations::list))
        .routes(routes!(egress::policy))
        .routes(routes!(egress::blocks))
        .routes(routes!(system::show))
        .routes(routes!(system::show_public))
        .routes(routes!(live::connect))
        .routes(routes!(live::sse::listen))
        .routes(routes!(live::tickets::issue))
        // The short forms; the document has them beside the full ones.
        .route("/api/websites", get(monitors::list))
        .route("/api/websites/{id}", get(monitors::show))
}

/// The schemas of the bodies that these routes give.
pub fn components(components: &mut Components) {
    components.add::<MonitorBody>();
    components.add::<Page<figures::ListedMonitor>>();
    components.add::<Page<checks::CheckBody>>();
    components.add::<system::SystemBody>();
    components.add::<system::PublicSystemBody>();
    components.add::<uptime::UptimeBody>();
    components.add::<uptime::OrganizationUptimeBody>();
    components.add::<uptime::outages::OutagesBody>();
    components.add::<latency::LatencyBody>();
    components.add::<density::DensityBody>();
    components.add::<Page<AnnotationBody>>();
    components.add::<annotations::PreviewBody>();
    components.add::<Page<events::EventBody>>();
    components.add::<live::tickets::TicketBody>();
    components.add::<egress::PolicyBody>();
    components.add::<Page<egress::BlockBody>>();
}

/// Refuses a monitor that is not the organization's. An archived one is: its history stays.
async fn require_monitor(
    store: &Store,
    organization_id: OrganizationId,
    monitor_id: MonitorId,
) -> Result<(), Problem> {
    let found: Option<i32> = sqlx::query_scalar(
        "select 1 from monitor_view where monitor_id = $1 and organization_id = $2",
    )
    .bind(monitor_id.0)
    .bind(organization_id.0)
    .fetch_optional(&store.read)
    .await?;
    found.map(|_| ()).ok_or_else(Problem::not_found)
}
