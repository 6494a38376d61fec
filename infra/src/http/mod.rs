//! What the write side and the read side of the HTTP interface share: one form of errors, one way to
//! know who asks.

mod access_tokens;
mod annotation_body;
mod authenticator;
mod client;
mod document;
mod idempotency;
mod identity;
pub mod json_body;
mod monitor_body;
pub mod no_body;
mod page;
mod parameters;
mod preview;
mod problem;
mod rate_limit;
mod request_time;
mod shared_limit;
mod shares;
mod tickets;

pub use access_tokens::{AccessTokens, TokenClaims};
pub use annotation_body::{ANNOTATION_COLUMNS, AnnotationBody, load_annotation};
pub use authenticator::{API_KEY_PREFIX, Authenticator, SESSION_COOKIE, cookie, secret_hash};
pub use client::{Ingress, client_network};
pub use document::{Components, schema_of};
pub use idempotency::{BodyHash, IdempotencyKey, is_done, note_done};
pub use identity::{Credential, Identity};
pub use monitor_body::{
    MONITOR_BODY_COLUMNS, MONITOR_BODY_TABLES, MonitorBody, MonitorParts, load_monitor_body,
};
pub use page::{Page, Pagination};
pub use parameters::{NoParameters, Parameters};
pub use preview::{AnnotationPreview, annotation_preview_schema};
pub use problem::Problem;
pub use pulsetrail_domain::Role;
pub use rate_limit::{RateLimit, RateSettings};
pub use request_time::RequestTime;
pub use shared_limit::SharedLimit;
pub use shares::SharesLimit;
pub use tickets::{Ticket, TicketUse};
