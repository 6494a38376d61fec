//! `DELETE /api/v1/monitors/{id}/annotations/{annotation_id}`: an annotation is taken back.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use pulsetrail_domain::annotation::AnnotationCommand;
use pulsetrail_domain::{AnnotationId, MonitorId};
use pulsetrail_infra::http::{Problem, load_annotation};

use super::super::CommandState;
use super::super::aggregates::refusal;
use super::super::no_body::NoBody;
use super::super::request::{RequestContext, Writer};

/// The monitor and the annotation that the path names. What is no id names nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnnotationPath(MonitorId, AnnotationId);

impl<S: Send + Sync> FromRequestParts<S> for AnnotationPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path((monitor, annotation)) =
            Path::<(String, String)>::from_request_parts(parts, state)
                .await
                .map_err(|_| Problem::not_found())?;
        let monitor = monitor.parse().map_err(|_| Problem::not_found())?;
        let annotation = annotation.parse().map_err(|_| Problem::not_found())?;
        Ok(Self(monitor, annotation))
    }
}

/// Takes an annotation back: 204. Uptime answers change at once; the log keeps that it was there, and answers as
/// of a time before still count it.
#[utoipa::path(
    delete,
    path = "/api/v1/monitors/{id}/annotations/{annotation_id}",
    tag = "history",
    operation_id = "withdrawAnnotation",
    params(
        ("id" = uuid::Uuid, Path, description = "The monitor's id."),
        ("annotation_id" = uuid::Uuid, Path, description = "The annotation's id."),
    ),
    responses((status = 204, description = "It was taken back.")),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn withdraw(
    State(state): State<CommandState>,
    Writer(identity): Writer,
    AnnotationPath(monitor_id, annotation_id): AnnotationPath,
    context: RequestContext,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    let organization_id = identity.organization_id;
    let annotation = load_annotation(&state.store.read, organization_id, annotation_id).await?;
    let of_monitor = annotation.filter(|(made, _)| made.monitor_id == monitor_id);
    of_monitor.ok_or_else(Problem::not_found)?;
    let metadata = context.metadata(&identity);
    let command = AnnotationCommand::Withdraw;
    let outcome = state.annotations.execute(&annotation_id.to_string(), command, &metadata).await;
    outcome.map_err(refusal)?;
    Ok(StatusCode::NO_CONTENT)
}
