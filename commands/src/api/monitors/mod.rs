//! `/api/v1/monitors`: registering monitors and changing them.

mod archive;
mod body;
mod check;
mod counts;
mod egress;
mod fields;
mod merge_patch;
mod pause;
mod reconfigure;
mod register;
mod response;
mod rules;

pub(crate) use archive::archive;
pub(crate) use check::check;
pub(crate) use counts::MonitorCounts;
pub(crate) use pause::{pause, resume};
pub(crate) use reconfigure::reconfigure;
pub(crate) use register::register;
