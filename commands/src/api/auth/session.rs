//! What a caller gets who has got in: a session's tokens, in the body or in cookies.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use pulsetrail_domain::{OrganizationId, Role, UserId};
use pulsetrail_infra::http::{Problem, SESSION_COOKIE, TokenClaims};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::CommandState;
use crate::accounts::{Account, OpenSession, PasswordFailure};

/// The cookie that carries the refresh token of a browser.
pub(super) const REFRESH_COOKIE: &str = "pulsetrail_refresh";
/// Where the refresh token goes and nowhere else.
const REFRESH_PATH: &str = "/api/v1/auth";

/// A person, as they see themselves.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UserBody {
    id: UserId,
    email: String,
    name: Option<String>,
    /// Whether they run the installation.
    operator: bool,
}

/// An organization.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OrganizationBody {
    id: OrganizationId,
    name: String,
}

/// Who got in, and what the next requests carry.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SessionBody {
    user: UserBody,
    organization: OrganizationBody,
    /// What they may do in the organization.
    role: Role,
    /// Seconds from now until the access token ends.
    expires_in: i64,
    /// For `Authorization: Bearer`; not where cookies were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// Good for one `POST /api/v1/auth/refresh`; not where cookies were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// A session, and the cookies of it where those were asked for.
pub(crate) struct Session {
    body: SessionBody,
    cookies: Vec<HeaderValue>,
}

impl From<Account> for (UserBody, OrganizationBody) {
    fn from(account: Account) -> Self {
        let user = UserBody {
            id: account.user_id,
            email: account.email,
            name: account.name,
            operator: account.operator,
        };
        (user, OrganizationBody { id: account.organization_id, name: account.organization_name })
    }
}

impl Session {
    /// The tokens of a session that has begun. A browser keeps them in cookies, which no script of a
    /// page can read.
    pub(crate) fn new(
        state: &CommandState,
        account: Account,
        open: OpenSession,
        in_cookies: bool,
    ) -> Result<Self, Problem> {
        let now = Utc::now();
        let claims = TokenClaims {
            user_id: account.user_id,
            organization_id: account.organization_id,
            session_id: open.session_id,
        };
        let issued = state.authenticator.tokens().issue(&claims);
        let (access_token, expires_at) = issued.map_err(Problem::internal)?;
        let expires_in = (expires_at - now).num_seconds();
        let role = account.role;
        let (user, organization) = account.into();
        let (access_token, refresh_token) = (Some(access_token), Some(open.refresh_token));
        let mut body =
            SessionBody { user, organization, role, expires_in, access_token, refresh_token };
        let mut cookies = Vec::new();
        if in_cookies {
            let secure = state.authenticator.ingress().is_secure();
            let days = i64::from(state.rules.session_days);
            let access = body.access_token.take().unwrap_or_default();
            let refresh = body.refresh_token.take().unwrap_or_default();
            cookies.push(cookie(SESSION_COOKIE, &access, "/", expires_in, secure)?);
            let seconds = days * 86_400;
            cookies.push(cookie(REFRESH_COOKIE, &refresh, REFRESH_PATH, seconds, secure)?);
        }
        Ok(Self { body, cookies })
    }
}

impl IntoResponse for Session {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        // RFC 6749, 5.1: nobody on the way keeps a token.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for cookie in self.cookies {
            headers.append(header::SET_COOKIE, cookie);
        }
        (headers, Json(self.body)).into_response()
    }
}

/// Cookies that take the place of a session's and end at once.
pub(super) fn ended_cookies(state: &CommandState) -> Result<HeaderMap, Problem> {
    let secure = state.authenticator.ingress().is_secure();
    let mut headers = HeaderMap::new();
    headers.append(header::SET_COOKIE, cookie(SESSION_COOKIE, "", "/", 0, secure)?);
    headers.append(header::SET_COOKIE, cookie(REFRESH_COOKIE, "", REFRESH_PATH, 0, secure)?);
    Ok(headers)
}

fn cookie(
    name: &str,
    value: &str,
    path: &str,
    seconds: i64,
    secure: bool,
) -> Result<HeaderValue, Problem> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!(
        "{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::try_from(text).map_err(Problem::internal)
}

/// A password that was neither hashed nor verified, as the caller sees it.
pub(crate) fn password_problem(failure: PasswordFailure) -> Problem {
    match failure {
        PasswordFailure::Busy | PasswordFailure::Ended => Problem::unavailable(failure),
        PasswordFailure::Hash(_) => Problem::internal(failure),
    }
}
