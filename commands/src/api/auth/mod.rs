//! `/api/v1/auth`: getting in.

mod login;
mod register;
mod session;

pub(crate) use login::login;
pub(crate) use register::register;
pub(crate) use session::{OrganizationBody, UserBody};
