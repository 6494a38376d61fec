//! `POST /api/v1/monitors`: a monitor begins.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use pulsetrail_domain::monitor::{
    Monitor, MonitorCommand, MonitorConfig, MonitorError, MonitorEvent, MonitorRequest,
};
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::store::{MonitorFailure, StoreError, read_aggregate};
use serde_json::Value;
use uuid::Uuid;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::request::{RequestId, Writer};
use super::idempotency::IdempotencyKey;
use super::response::respond;
use super::{body, rules};

/// Registers a monitor: 201 with it. Sent again with the same `Idempotency-Key` it meets itself, and
/// is 422 where the body says something else than the first time.
pub(crate) async fn register(
    State(state): State<CommandState>,
    Writer(identity): Writer,
    request_id: RequestId,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response, Problem> {
    let parsed = body::read(body)?;
    rules::judge(&state.rules, &parsed, None)?;
    let organization_id = identity.organization_id;
    let with_key = key.monitor_id(organization_id);
    let monitor_id = with_key.unwrap_or_else(|| MonitorId(Uuid::now_v7()));
    let config = Box::new(parsed.config);
    let command = MonitorCommand::Register { monitor_id, organization_id, config: config.clone() };
    let request = MonitorRequest { expected_version: None, command };
    let metadata = request_id.metadata(&identity);
    let done = state.monitors.execute(organization_id, monitor_id, request, metadata).await;
    let monitor = match done {
        Err(MonitorFailure::Refused(MonitorError::AlreadyRegistered)) if with_key.is_some() => {
            registered_before(&state, organization_id, monitor_id, &config).await?
        }
        done => done?,
    };
    respond(&state, StatusCode::CREATED, monitor_id, monitor).await
}

/// The monitor that the key led to the first time, if `config` is what was asked for then. What has
/// become of it since does not matter, unless it was archived.
async fn registered_before(
    state: &CommandState,
    organization_id: OrganizationId,
    monitor_id: MonitorId,
    config: &MonitorConfig,
) -> Result<Monitor, Problem> {
    let id = monitor_id.to_string();
    let first = read_aggregate(&state.store.read, Monitor::AGGREGATE, &id, 0, 1).await?;
    let first = first.first().ok_or_else(Problem::not_found)?;
    let event = first
        .event
        .monitor_event()
        .map_err(|source| StoreError::Unreadable { position: first.event.position.0, source })?;
    match event {
        MonitorEvent::MonitorRegistered { config: before, .. } if *before == *config => {}
        _ => return Err(key_reused()),
    }
    let monitor = state.monitors.load(organization_id, monitor_id).await?;
    if monitor.archived { Err(MonitorError::Archived.into()) } else { Ok(monitor) }
}

fn key_reused() -> Problem {
    let detail = "The Idempotency-Key was used before, with another body.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}
