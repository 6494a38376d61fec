//! `/api/v1/auth`: getting in and out.

mod attempt;
mod login;
mod logout;
mod refresh;
mod register;
mod session;

pub(crate) use login::{invalid_credentials, login};
pub(crate) use logout::logout;
pub(crate) use refresh::refresh;
pub(crate) use register::register;
pub(crate) use session::{OrganizationBody, Session, UserBody, password_problem};
