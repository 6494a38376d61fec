//! Errors as callers see them: RFC 9457 problem details.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pulsetrail_domain::monitor::{MonitorError, Violation};
use schemars::JsonSchema;
use serde::Serialize;

use crate::store::{MonitorFailure, StoreError};

/// An error response, `application/problem+json`. `code` is stable, `detail` is for people. A 5xx
/// says nothing of its cause: that is in the log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem, as a stable code.
    pub code: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// This occurrence in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Every value that is not valid, with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Violation>,
    /// The request, for who asks an operator about it; of a 5xx alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
    /// Seconds until it is worth trying again: `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u32>,
    /// How many there may be in a minute, where that limit was reached: `RateLimit-Limit`.
    #[serde(skip)]
    pub limit_a_minute: Option<NonZeroU32>,
}

impl Problem {
    /// A problem with the given status and code.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            code,
            title: status.canonical_reason().unwrap_or("Error"),
            detail: Some(detail.into()),
            errors: Vec::new(),
            request_id: None,
            retry_after: None,
            limit_a_minute: None,
        }
    }

    /// 404: there is no such thing, or it belongs to somebody else.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is no such resource.")
    }

    /// 401: a token is missing or not good.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "A valid access token is needed: Authorization: Bearer <token>.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 403: the role does not allow it.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Your role does not allow this.")
    }

    /// 403: a browser sent its cookie along from another site's page.
    #[must_use]
    pub fn cross_site() -> Self {
        let detail = "A cookie counts only from a page of the same origin.";
        Self::new(StatusCode::FORBIDDEN, "cross_site", detail)
    }

    /// 429: there were too many; `wait` until it is worth trying again.
    #[must_use]
    pub fn too_many_requests(wait: Duration) -> Self {
        let detail = "There were too many requests: wait as long as Retry-After says.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail);
        // Rounded up: who comes back then is let in.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds.max(1)).unwrap_or(u32::MAX);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// 429: more than `number` came in a minute; `wait` until it is worth trying again.
    #[must_use]
    pub fn over_limit(number: NonZeroU32, wait: Duration) -> Self {
        Self { limit_a_minute: Some(number), ..Self::too_many_requests(wait) }
    }

    /// 400: the request itself cannot be read.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 422: values that are not valid, all of them.
    #[must_use]
    pub fn invalid(errors: Vec<Violation>) -> Self {
        let detail = "Some values are not valid.";
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail) }
    }

    /// 500: something is wrong here. The cause goes to the log, not to the caller.
    #[must_use]
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        let problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "");
        Self { detail: None, ..problem }
    }

    /// 503: an engine is busy or away; the caller may try again.
    #[must_use]
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        tracing::warn!(%cause, "a request could not be served for now");
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "");
        Self { detail: None, retry_after: Some(1), ..problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after, limit) = (self.retry_after, self.limit_a_minute);
        let mut response = (status, Json(&self)).into_response();
        if status.is_server_error() {
            // For the layer that knows the request's id.
            response.extensions_mut().insert(self);
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            if let Some(limit) = limit {
                // draft-ietf-httpapi-ratelimit-headers-07, which clients know.
                headers.insert("ratelimit-limit", HeaderValue::from(limit.get()));
                headers.insert("ratelimit-remaining", HeaderValue::from(0));
                headers.insert("ratelimit-reset", HeaderValue::from(seconds));
            }
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(_) | StoreError::VersionConflict(_) => Self::unavailable(error),
            StoreError::Unreadable { .. } | StoreError::Schema(_) => Self::internal(error),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::from(StoreError::from(error))
    }
}

impl From<clickhouse::error::Error> for Problem {
    fn from(error: clickhouse::error::Error) -> Self {
        match error {
            clickhouse::error::Error::Network(_) | clickhouse::error::Error::TimedOut => {
                Self::unavailable(error)
            }
            error => Self::internal(error),
        }
    }
}

impl From<MonitorFailure> for Problem {
    fn from(failure: MonitorFailure) -> Self {
        match failure {
            MonitorFailure::Refused(refusal) => refusal.into(),
            MonitorFailure::Contended | MonitorFailure::Unavailable(_) => {
                Self::unavailable(failure)
            }
            MonitorFailure::TooManyWait => Self::too_many_requests(Duration::from_secs(1)),
            MonitorFailure::Store(error) => error.into(),
        }
    }
}

impl From<MonitorError> for Problem {
    fn from(error: MonitorError) -> Self {
        match error {
            MonitorError::NotFound => Self::not_found(),
            MonitorError::Invalid(violations) => Self::invalid(violations),
            MonitorError::Archived => {
                Self::new(StatusCode::CONFLICT, "archived", "The monitor is archived.")
            }
            MonitorError::AlreadyRegistered => {
                Self::new(StatusCode::CONFLICT, "already_registered", "The monitor exists already.")
            }
            MonitorError::VersionMismatch { current } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "version_mismatch",
                format!("The monitor is at version {current}."),
            ),
        }
    }
}
