//! The rules of Pulsetrail: aggregates, their commands and events, and nothing else.
//!
//! This crate does no I/O, reads no clock and makes no random ids: time and ids come in with the
//! command, so that every decision can be repeated from the log alone.

pub mod access;
pub mod annotation;
pub mod catalogue;
pub mod check;
pub mod egress;
pub mod health;
mod ids;
pub mod monitor;
mod region;
mod role;
pub mod schedule;
pub mod slot;
pub mod text;
pub mod uptime;

pub use ids::{
    AnnotationId, ApiKeyId, CheckId, InvitationId, MonitorId, OrganizationId, Position, SecretId,
    SessionId, UserId,
};
pub use region::{InvalidRegion, Region};
pub use role::Role;

/// A moment in UTC. Pulsetrail keeps times to the millisecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// The moment `milliseconds` after the Unix epoch; the epoch itself where that is out of range.
#[must_use]
pub fn timestamp_from_millis(milliseconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}
