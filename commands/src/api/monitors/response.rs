//! Carrying a command out and answering with the monitor as it is then.

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pulsetrail_domain::MonitorId;
use pulsetrail_domain::monitor::{Monitor, MonitorCommand, MonitorRequest};
use pulsetrail_infra::http::{IdempotencyKey, Identity, MonitorBody, Problem};
use pulsetrail_infra::secrets::SealedSecrets;
use pulsetrail_infra::store::StoredMonitor;

use super::super::CommandState;
use super::super::precondition::Precondition;
use super::super::request::{MonitorPath, RequestContext, Writer};
use super::egress;
use super::once::Marked;
use super::rules::Objection;

/// What every command to a monitor that exists comes with.
#[derive(axum::extract::FromRequestParts)]
#[from_request(state(CommandState))]
pub(crate) struct Addressed {
    writer: Writer,
    monitor: MonitorPath,
    precondition: Precondition,
    context: RequestContext,
}

impl Addressed {
    /// Who asks.
    pub(super) fn identity(&self) -> &Identity {
        &self.writer.0
    }

    /// In which request.
    pub(super) fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Which monitor they name.
    pub(super) fn monitor_id(&self) -> MonitorId {
        self.monitor.0
    }

    /// The monitor as it is now.
    pub(super) async fn load(&self, state: &CommandState) -> Result<StoredMonitor, Problem> {
        let organization_id = self.identity().organization_id;
        Ok(state.monitors.load(organization_id, self.monitor_id()).await?)
    }

    /// The version that the caller wants to change, out of a monitor that was loaded.
    pub(super) fn expected_version(&self, current: &Monitor) -> Result<Option<i64>, Problem> {
        self.precondition.expected_version(current)
    }

    /// Carries a command out if the monitor is at a version that the caller wants to change.
    pub(super) async fn execute(
        &self,
        state: &CommandState,
        command: MonitorCommand,
    ) -> Result<StoredMonitor, Problem> {
        let expected_version = self.wanted_version(state).await?;
        let none = SealedSecrets::default();
        self.execute_at(state, MonitorRequest { expected_version, command }, none).await
    }

    /// As [`Addressed::execute`], once for a key: sent again with it, the monitor is answered with as it
    /// is now, whatever others did to it since.
    pub(super) async fn execute_with_key(
        &self,
        state: &CommandState,
        key: IdempotencyKey,
        command: MonitorCommand,
    ) -> Result<StoredMonitor, Problem> {
        let organization_id = self.identity().organization_id;
        let route = format!("{command:?} {}", self.monitor_id());
        let Some(mark) = key.id(organization_id, &route) else {
            return self.execute(state, command).await;
        };
        let marked = Marked { organization_id, monitor_id: self.monitor_id(), mark };
        if let Some(monitor) = marked.done_before(state).await? {
            return Ok(monitor);
        }
        let expected_version = self.wanted_version(state).await?;
        let request = MonitorRequest { expected_version, command };
        marked.carry_out(state, request, self.context.metadata(self.identity())).await
    }

    async fn wanted_version(&self, state: &CommandState) -> Result<Option<i64>, Problem> {
        match &self.precondition {
            Precondition::None => Ok(None),
            precondition => precondition.expected_version(&self.load(state).await?.monitor),
        }
    }

    /// Answers to a change that the installation objects to.
    pub(super) async fn refuse(&self, state: &CommandState, objection: Objection) -> Problem {
        let (identity, monitor_id) = (self.identity(), Some(self.monitor_id()));
        let metadata = self.context.metadata(identity);
        egress::answer(state, objection, identity.organization_id, monitor_id, &metadata).await
    }

    /// Carries a command out, at the version that it names, with the secrets that are new in it.
    pub(super) async fn execute_at(
        &self,
        state: &CommandState,
        request: MonitorRequest,
        sealed: SealedSecrets,
    ) -> Result<StoredMonitor, Problem> {
        let identity = self.identity();
        let metadata = self.context.metadata(identity);
        let organization_id = identity.organization_id;
        let monitor_id = self.monitor_id();
        let monitors = &state.monitors;
        Ok(monitors
            .execute_with_secrets(organization_id, monitor_id, request, metadata, sealed)
            .await?)
    }
}

/// The monitor as it is after a command, with its version as `ETag`, and where it was made with its
/// `Location`.
pub(super) fn respond(
    state: &CommandState,
    status: StatusCode,
    monitor_id: MonitorId,
    stored: StoredMonitor,
) -> Result<Response, Problem> {
    let body = MonitorBody::of_stored(monitor_id, stored).ok_or_else(Problem::not_found)?;
    respond_with(state, status, body)
}

/// The same, of a monitor as its owner sees it.
pub(super) fn respond_with(
    state: &CommandState,
    status: StatusCode,
    body: MonitorBody,
) -> Result<Response, Problem> {
    let body = body.probed_by(&state.probers);
    let location = format!("/api/v1/monitors/{}", body.id);
    let tag: [(HeaderName, String); 1] = [(header::ETAG, body.etag())];
    let mut response = (status, tag, Json(body)).into_response();
    if status == StatusCode::CREATED {
        let location = location.parse().map_err(Problem::internal)?;
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
