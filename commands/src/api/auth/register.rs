//! `POST /api/v1/auth/register`: a person and their own organization.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pulsetrail_domain::monitor::Violation;
use pulsetrail_domain::{OrganizationId, UserId};
use pulsetrail_infra::http::Problem;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::people::{NAME, good_name};
use super::super::request::RequestContext;
use super::attempt::Attempt;
use super::session::{Session, password_problem};
use crate::accounts::{
    AccountFailure, Email, NewAccount, Password, insert_account, nobody_is_registered,
};

/// The body of a registration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterBody {
    /// The address that they sign in with: at most 254 characters.
    #[schemars(email, length(min = 3, max = 254))]
    email: String,
    /// 8 to 256 characters, and not only white space.
    #[schemars(length(min = 8, max = 256))]
    password: String,
    /// What they are called: at most 200 characters, none of them invisible.
    #[schemars(length(max = 200), pattern("^[^\\x00-\\x1f\\x7f-\\x9f]*$"))]
    name: Option<String>,
    /// Whether the tokens come in cookies, for a browser, and not in the body.
    #[serde(default)]
    cookies: bool,
}

/// Registers a person. 201 with a token, 409 where the address has an account, 403 where the
/// installation takes no more people.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    tag = "accounts",
    operation_id = "register",
    request_body = ref(pulsetrail_infra::http::schema_of::<RegisterBody>()),
    responses((status = 201, description = "The person, their organization and their first session.", body = ref(pulsetrail_infra::http::schema_of::<super::SessionBody>()))),
)]
pub(crate) async fn register(
    State(state): State<CommandState>,
    attempt: Attempt,
    context: RequestContext,
    JsonBody(body): JsonBody<RegisterBody>,
) -> Result<Response, Problem> {
    let open = state.rules.registration_open;
    // Asked before the work of a hash, and again where it counts, in the transaction.
    if !open && !nobody_is_registered(&state.store.read).await? {
        return Err(AccountFailure::RegistrationClosed.into());
    }
    let in_cookies = body.cookies;
    let (email, password, name) = body.validate()?;
    let password_hash = state.passwords.hash(password).await.map_err(password_problem)?;
    let new = NewAccount {
        user_id: UserId(Uuid::now_v7()),
        organization_id: OrganizationId(Uuid::now_v7()),
        email,
        name,
        password_hash,
    };
    let mut metadata = context.anonymous();
    metadata.insert("actor".to_owned(), new.user_id.to_string());
    metadata.insert("organization_id".to_owned(), new.organization_id.to_string());
    let days = state.rules.session_days;
    let (account, session) = insert_account(&state.store.write, new, open, days, &metadata).await?;
    attempt.note_sign_in(&state, account.user_id).await?;
    Ok((StatusCode::CREATED, Session::new(&state, account, session, in_cookies)?).into_response())
}

impl RegisterBody {
    fn validate(self) -> Result<(Email, Password, Option<String>), Problem> {
        let name = self.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let email = Email::try_from(self.email.as_str());
        let password = Password::try_from(self.password);
        let name_is_good = name.as_deref().is_none_or(|name| good_name(name).is_some());
        match (email, password) {
            (Ok(email), Ok(password)) if name_is_good => Ok((email, password, name)),
            (email, password) => {
                let mut violations = Vec::new();
                if let Err(error) = email {
                    violations.push(Violation::new("/email", error.to_string()));
                }
                if let Err(error) = password {
                    violations.push(Violation::new("/password", error.to_string()));
                }
                if !name_is_good {
                    violations.push(Violation::new("/name", NAME));
                }
                Err(Problem::invalid(violations))
            }
        }
    }
}

impl From<AccountFailure> for Problem {
    fn from(failure: AccountFailure) -> Self {
        match failure {
            AccountFailure::EmailTaken => Self::new(
                StatusCode::CONFLICT,
                "email_taken",
                "There is an account with this e-mail address already.",
            ),
            AccountFailure::RegistrationClosed => Self::new(
                StatusCode::FORBIDDEN,
                "registration_closed",
                "This installation takes no more people.",
            ),
            AccountFailure::NoSuchMember => Self::not_found(),
            AccountFailure::LastOwner => Self::new(
                StatusCode::CONFLICT,
                "last_owner",
                "The organization would have no owner: make somebody else one first.",
            ),
            AccountFailure::Log(error) => error.into(),
            AccountFailure::Database(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(email: &str, password: &str, name: Option<&str>) -> RegisterBody {
        let name = name.map(str::to_owned);
        RegisterBody {
            email: email.to_owned(),
            password: password.to_owned(),
            name,
            cookies: false,
        }
    }

    #[test]
    fn every_mistake_of_a_registration_is_named() {
        let long = "a".repeat(201);
        let problem = body("ada", "short", Some(&long)).validate().err().unwrap();
        let pointers: Vec<&str> =
            problem.errors.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!((problem.status, pointers), (422, vec!["/email", "/password", "/name"]));
    }

    #[test]
    fn a_name_is_not_needed_and_a_blank_one_is_none() {
        for (given, kept) in [(None, None), (Some("  "), None), (Some(" Ada "), Some("Ada"))] {
            let (_, _, name) = body("ada@example.com", "12345678", given).validate().ok().unwrap();
            assert_eq!(name.as_deref(), kept);
        }
    }
}
