//! The REST command API.

mod aggregates;
mod annotations;
mod auth;
mod dead_letters;
mod heartbeat;
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
use axum::routing::{delete, post};
use pulsetrail_domain::check::CheckResult;
use pulsetrail_infra::http::{
    AnnotationBody, Components, MonitorBody, Page, Problem, json_body, no_body,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::{router::UtoipaMethodRouterExt as _, routes};

pub use state::{CommandState, InstallationRules};

/// The longest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 256 * 1_024;
/// The longest body of a bulk call, in bytes.
const MAX_BULK_BODY_BYTES: usize = 8 * 1_024 * 1_024;

/// Every route of the write side. The read side's router is merged with it: where both serve a path,
/// each its own methods, the path's parameter is called `id` in both.
pub fn router(state: CommandState) -> Router {
    let (routes, _) = documented_router().split_for_parts();
    routes.with_state(state)
}

/// The same, with the documentation of each route.
pub fn documented_router() -> OpenApiRouter<CommandState> {
    OpenApiRouter::new()
        .routes(routes!(auth::register::register))
        .routes(routes!(auth::login::login))
        .routes(routes!(auth::refresh::refresh))
        .routes(routes!(auth::logout::logout))
        .routes(routes!(me::show::me, me::erase::erase))
        .routes(routes!(me::password::change_password))
        .routes(routes!(people::organizations::list_organizations))
        .routes(routes!(people::organizations::switch_organization))
        .routes(routes!(people::members::list_members))
        .routes(routes!(people::members::change_member, people::members::remove_member))
        .routes(routes!(
            people::invitations::create_invitation,
            people::invitations::list_invitations
        ))
        .routes(routes!(people::invitations::withdraw_invitation))
        .routes(routes!(people::invitations::accept_invitation))
        .routes(routes!(people::api_keys::create_api_key, people::api_keys::list_api_keys))
        .routes(routes!(people::api_keys::revoke_api_key))
        .routes(routes!(monitors::register::register))
        .routes(routes!(monitors::bulk::bulk).layer(DefaultBodyLimit::max(MAX_BULK_BODY_BYTES)))
        .routes(routes!(monitors::reconfigure::reconfigure, monitors::archive::archive))
        .routes(routes!(monitors::pause::pause))
        .routes(routes!(monitors::pause::resume))
        .routes(routes!(monitors::check::check))
        .routes(routes!(monitors::heartbeat_token::rotate))
        .routes(routes!(annotations::annotate::annotate))
        .routes(routes!(annotations::withdraw::withdraw))
        .routes(routes!(heartbeat::get, heartbeat::post))
        .routes(routes!(heartbeat::get_outcome, heartbeat::post_outcome))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::retry))
        // The short forms; the document has them beside the full ones.
        .route("/api/websites", post(monitors::register::register))
        .route("/api/websites/{id}", delete(monitors::archive::archive))
        .route("/monitors/{id}/check", post(monitors::check::check))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// The schemas of the bodies that these routes take and give.
pub fn components(components: &mut Components) {
    components.add::<Problem>();
    components.add::<MonitorBody>();
    components.add::<auth::register::RegisterBody>();
    components.add::<auth::login::LoginBody>();
    components.add::<auth::refresh::RefreshBody>();
    components.add::<auth::SessionBody>();
    components.add::<me::show::Me>();
    components.add::<me::password::PasswordBody>();
    components.add::<me::erase::EraseBody>();
    components.add::<people::api_keys::ApiKeyBody>();
    components.add::<people::api_keys::CreatedApiKey>();
    components.add::<Page<crate::accounts::ApiKey>>();
    components.add::<people::members::MemberBody>();
    components.add::<Page<crate::accounts::Member>>();
    components.add::<Page<crate::accounts::Membership>>();
    components.add::<people::invitations::InvitationBody>();
    components.add::<people::invitations::CreatedInvitation>();
    components.add::<people::invitations::AcceptBody>();
    components.add::<Page<crate::accounts::Invitation>>();
    components.add::<monitors::body::MonitorInput>();
    components.add::<monitors::body::MonitorPatch>();
    components.add::<monitors::bulk::BulkBody>();
    components.add::<monitors::bulk::BulkResult>();
    components.add::<monitors::check::CheckAsked>();
    components.add::<annotations::annotate::AnnotationInput>();
    components.add::<AnnotationBody>();
    components.add::<monitors::heartbeat_token::HeartbeatAddress>();
    components.add::<heartbeat::Reported>();
    components.add::<CheckResult>();
    components.add::<Page<pulsetrail_infra::dead_letters::StoredLetter>>();
}
