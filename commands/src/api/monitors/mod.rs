//! `/api/v1/monitors`: registering monitors and changing them.

pub(crate) mod archive;
mod ask;
pub(crate) mod body;
pub(crate) mod bulk;
pub(crate) mod check;
mod counts;
mod egress;
mod fields;
pub(crate) mod heartbeat_token;
mod merge_patch;
mod once;
pub(crate) mod pause;
mod readers;
pub(crate) mod reconfigure;
pub(crate) mod register;
mod response;
mod rules;
mod sealed;
mod secrets;
mod target_body;
mod wait;

pub(crate) use counts::MonitorCounts;
pub(crate) use readers::BodyReaders;
