//! `DELETE /api/v1/me`: a person is forgotten.

use axum::extract::State;
use axum::http::StatusCode;
use pulsetrail_domain::monitor::{MonitorCommand, MonitorError, MonitorRequest};
use pulsetrail_infra::http::{Identity, Problem};
use pulsetrail_infra::store::MonitorFailure;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::request::RequestContext;
use super::password::verify_password;
use crate::accounts::{erase_account, monitors_left_behind};

/// The body of an erasure.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseBody {
    /// The caller's password.
    password: String,
}

/// Erases the caller: their address, name, password, sessions and keys, and the organizations that
/// they are alone in, whose monitors end. 204; 409 where others would be left without an owner. The
/// log keeps what was done, by ids that lead to nobody any more.
#[utoipa::path(
    delete,
    path = "/api/v1/me",
    tag = "accounts",
    operation_id = "eraseMe",
    request_body = ref(pulsetrail_infra::http::schema_of::<EraseBody>()),
    responses((status = 204, description = "The caller is forgotten.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn erase(
    State(state): State<CommandState>,
    identity: Identity,
    context: RequestContext,
    JsonBody(body): JsonBody<EraseBody>,
) -> Result<StatusCode, Problem> {
    identity.session_id()?;
    verify_password(&state, identity.user_id, body.password).await?;
    let metadata = context.metadata(&identity);
    for (organization_id, monitor_id) in
        monitors_left_behind(&state.store.read, identity.user_id).await?
    {
        let command = MonitorCommand::Archive;
        let request = MonitorRequest { expected_version: None, command };
        let archived =
            state.monitors.execute(organization_id, monitor_id, request, metadata.clone()).await;
        match archived {
            Ok(_) | Err(MonitorFailure::Refused(MonitorError::NotFound)) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    let whose = identity.organization_id;
    erase_account(&state.store.write, identity.user_id, whose, &metadata).await?;
    Ok(StatusCode::NO_CONTENT)
}
