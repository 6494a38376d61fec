//! The REST command API.

mod auth;
mod dead_letters;
mod json_body;
mod me;
mod monitors;
mod people;
mod precondition;
mod request;
mod state;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, patch, post, put};

pub use state::{CommandState, InstallationRules};

/// The longest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1_024;

/// Every route of the write side. The read side's router is merged with it: where both serve a path,
/// each its own methods, the path's parameter is called `id` in both.
pub fn router(state: CommandState) -> Router {
    Router::new()
        .route("/api/v1/auth/register", post(auth::register))
        .route("/api/v1/auth/login", post(auth::login))
        .route("/api/v1/auth/refresh", post(auth::refresh))
        .route("/api/v1/auth/logout", post(auth::logout))
        .route("/api/v1/me", get(me::me).delete(me::erase))
        .route("/api/v1/me/password", put(me::change_password))
        .route("/api/v1/organizations", get(people::list_organizations))
        .route("/api/v1/organizations/{id}/switch", post(people::switch_organization))
        .route("/api/v1/members", get(people::list_members))
        .route("/api/v1/members/{id}", patch(people::change_member).delete(people::remove_member))
        .route("/api/v1/invitations", post(people::create_invitation).get(people::list_invitations))
        .route("/api/v1/invitations/{id}", delete(people::withdraw_invitation))
        .route("/api/v1/invitations/accept", post(people::accept_invitation))
        .route("/api/v1/api-keys", post(people::create_api_key).get(people::list_api_keys))
        .route("/api/v1/api-keys/{id}", delete(people::revoke_api_key))
        .route("/api/v1/monitors", post(monitors::register))
        .route("/api/v1/monitors/{id}", patch(monitors::reconfigure).delete(monitors::archive))
        .route("/api/v1/monitors/{id}/pause", post(monitors::pause))
        .route("/api/v1/monitors/{id}/resume", post(monitors::resume))
        .route("/api/v1/monitors/{id}/check", post(monitors::check))
        .route("/api/v1/dead-letters", get(dead_letters::list))
        .route("/api/v1/dead-letters/{id}", get(dead_letters::show))
        .route("/api/v1/dead-letters/{id}/retry", post(dead_letters::retry))
        // The short forms.
        .route("/api/websites", post(monitors::register))
        .route("/api/websites/{id}", delete(monitors::archive))
        .route("/monitors/{id}/check", post(monitors::check))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(state)
}
