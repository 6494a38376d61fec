//! `/api/v1/me`: the caller, as they see themselves.

mod erase;
mod password;
mod show;

pub(crate) use erase::erase;
pub(crate) use password::change_password;
pub(crate) use show::me;
