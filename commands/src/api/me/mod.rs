//! `/api/v1/me`: the caller, as they see themselves.

pub(crate) mod erase;
pub(crate) mod password;
pub(crate) mod show;
