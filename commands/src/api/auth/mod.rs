//! `/api/v1/auth`: getting in and out.

pub(crate) mod attempt;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod register;
mod session;

pub(crate) use login::invalid_credentials;
pub(crate) use session::{OrganizationBody, Session, SessionBody, UserBody, password_problem};
