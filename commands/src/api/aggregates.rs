//! Why a command to an aggregate was not carried out, as callers see it.

use axum::http::StatusCode;
use cqrs_es::AggregateError;
use pulsetrail_infra::http::Problem;

/// What an aggregate refuses is the aggregate's own problem; 409 if it moves on each time that the command is
/// decided; 503 if the store does not answer.
pub(super) fn refusal<E: std::error::Error + Into<Problem>>(error: AggregateError<E>) -> Problem {
    match error {
        AggregateError::UserError(refused) => refused.into(),
        AggregateError::AggregateConflict => {
            let detail = "It is being changed by others: try again.";
            Problem::new(StatusCode::CONFLICT, "conflict", detail)
        }
        AggregateError::DatabaseConnectionError(cause) => Problem::unavailable(cause),
        AggregateError::DeserializationError(cause) | AggregateError::UnexpectedError(cause) => {
            Problem::internal(cause)
        }
    }
}
