//! What a caller gets who has got in.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use pulsetrail_domain::{OrganizationId, UserId};
use pulsetrail_infra::http::{AccessTokens, Problem};
use serde::Serialize;

use crate::accounts::{Account, PasswordFailure};

/// A person, as they see themselves.
#[derive(Serialize)]
pub(crate) struct UserBody {
    id: UserId,
    email: String,
    name: Option<String>,
}

/// An organization.
#[derive(Serialize)]
pub(crate) struct OrganizationBody {
    id: OrganizationId,
    name: String,
}

/// Who got in, and the token that the next requests carry.
#[derive(Serialize)]
pub(crate) struct Session {
    user: UserBody,
    organization: OrganizationBody,
    access_token: String,
    /// Seconds from now.
    expires_in: i64,
}

impl From<Account> for (UserBody, OrganizationBody) {
    fn from(account: Account) -> Self {
        (
            UserBody { id: account.user_id, email: account.email, name: account.name },
            OrganizationBody { id: account.organization_id, name: account.organization_name },
        )
    }
}

impl Session {
    pub(super) fn begin(tokens: &AccessTokens, account: Account) -> Result<Self, Problem> {
        let now = Utc::now();
        let (access_token, expires_at) =
            tokens.issue(&account.identity()).map_err(Problem::internal)?;
        let (user, organization) = account.into();
        let expires_in = (expires_at - now).num_seconds();
        Ok(Self { user, organization, access_token, expires_in })
    }
}

impl IntoResponse for Session {
    fn into_response(self) -> Response {
        // RFC 6749, 5.1: nobody on the way keeps a token.
        const NO_STORE: [(HeaderName, HeaderValue); 1] =
            [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (NO_STORE, Json(self)).into_response()
    }
}

/// A password that was neither hashed nor verified, as the caller sees it.
pub(super) fn password_problem(failure: PasswordFailure) -> Problem {
    match failure {
        PasswordFailure::Busy | PasswordFailure::Ended => Problem::unavailable(failure),
        PasswordFailure::Hash(_) => Problem::internal(failure),
    }
}
