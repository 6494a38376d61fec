//! `POST /api/v1/monitors`: a monitor begins.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use pulsetrail_domain::health::HeartbeatPolicy;
use pulsetrail_domain::monitor::{
    Monitor, MonitorCommand, MonitorError, MonitorRequest, PatternBudget,
};
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::{BodyHash, IdempotencyKey, MonitorBody, Problem};
use pulsetrail_infra::store::{StoredMonitor, read_aggregate};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::request::{RequestContext, Writer};
use super::readers::has_patterns;
use super::response::respond_with;
use super::{body, egress, rules};
use crate::accounts::Metadata;
use crate::heartbeats;

/// Registration's route. Its short form is the same operation.
const ROUTE: &str = "POST /api/v1/monitors";
/// Where an event's metadata keeps the hash of the body that it was made from.
const BODY_HASH: &str = "body_hash";

/// Registers a monitor: 201 with it. Sent again with the same `Idempotency-Key` it meets itself, and
/// is 422 where the body says something else than the first time.
#[utoipa::path(
    post,
    path = "/api/v1/monitors",
    tag = "monitors",
    operation_id = "registerMonitor",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body = ref(pulsetrail_infra::http::schema_of::<super::body::MonitorInput>()),
    responses((status = 201, description = "The monitor.", body = ref(pulsetrail_infra::http::schema_of::<pulsetrail_infra::http::MonitorBody>()), headers(("location" = String, description = "Where it is."), ("etag" = String, description = "Its version, for `If-Match`.")))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn register(
    State(state): State<CommandState>,
    Writer(identity): Writer,
    context: RequestContext,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response, Problem> {
    let organization_id = identity.organization_id;
    let with_key = key.id(organization_id, ROUTE).map(MonitorId);
    let metadata = context.metadata(&identity);
    let patterns = Arc::default();
    let registration = Registration { organization_id, with_key, metadata, patterns };
    let registered = registration.carry_out(&state, body).await?;
    respond_with(&state, StatusCode::CREATED, registered.body()?)
}

/// The registration of one monitor.
pub(super) struct Registration {
    /// Whom it is for.
    pub(super) organization_id: OrganizationId,
    /// The id that a key leads to.
    pub(super) with_key: Option<MonitorId>,
    /// Who asked, and in which request.
    pub(super) metadata: Metadata,
    /// What the patterns of all registrations of the request may still cost.
    pub(super) patterns: Arc<Mutex<PatternBudget>>,
}

impl Registration {
    /// Registers what `body` says, or finds what was registered with the same key. A key that was used
    /// counts before every rule and limit: what is answered is what became of the first request.
    pub(super) async fn carry_out(
        self,
        state: &CommandState,
        body: Value,
    ) -> Result<Registered, Problem> {
        let hash = BodyHash::of(&state.keyring, &body);
        let (organization_id, with_key) = (self.organization_id, self.with_key);
        let before = registered_before(state, organization_id, with_key, &hash).await?;
        if let Some((monitor_id, monitor)) = before {
            return registered(state, organization_id, monitor_id, monitor).await;
        }
        let (monitor_id, monitor) = match self.register(state, body, &hash).await {
            Ok(done) => done,
            Err(refused) => {
                // The same request may have been stored meanwhile, as the last one that was permitted.
                let before = registered_before(state, organization_id, with_key, &hash).await?;
                before.ok_or(refused)?
            }
        };
        registered(state, organization_id, monitor_id, monitor).await
    }

    async fn register(
        self,
        state: &CommandState,
        body: Value,
        hash: &BodyHash,
    ) -> Result<(MonitorId, StoredMonitor), Problem> {
        let Self { organization_id, with_key, mut metadata, patterns } = self;
        let reading = state.readers.read(organization_id, has_patterns(&body), move || {
            let mut patterns = patterns.lock().unwrap_or_else(PoisonError::into_inner);
            body::read_within(body, &mut patterns)
        });
        let parsed = reading.await?;
        if let Err(objection) = rules::judge(&state.rules, &parsed, None) {
            return Err(egress::answer(state, *objection, organization_id, None, &metadata).await);
        }
        let monitor_id = with_key.unwrap_or_else(|| MonitorId(Uuid::now_v7()));
        let sealed = parsed.secrets.seal(&state.keyring, organization_id)?;
        let config = Box::new(parsed.config);
        let command = MonitorCommand::Register { monitor_id, organization_id, config };
        let request = MonitorRequest { expected_version: None, command };
        if with_key.is_some() {
            // In the event itself: what was committed is known by it, whoever crashed afterwards.
            metadata.insert(BODY_HASH.to_owned(), hex(hash.to_keep()));
        }
        state.check_limit(organization_id).await?;
        let monitors = &state.monitors;
        let monitor = monitors
            .execute_with_secrets(organization_id, monitor_id, request, metadata, sealed)
            .await?;
        Ok((monitor_id, monitor))
    }
}

/// What is answered of a monitor that was registered now or before.
async fn registered(
    state: &CommandState,
    organization_id: OrganizationId,
    monitor_id: MonitorId,
    monitor: StoredMonitor,
) -> Result<Registered, Problem> {
    let heartbeat_path = match monitor.monitor.config.as_ref().and_then(HeartbeatPolicy::of) {
        Some(_) => {
            let pool = &state.store.write;
            heartbeats::issue_first(pool, monitor_id, organization_id).await?
        }
        None => None,
    };
    let heartbeat_path = heartbeat_path.map(heartbeats::path);
    Ok(Registered { monitor_id, monitor, heartbeat_path })
}

/// A monitor that was registered.
pub(super) struct Registered {
    /// Its id.
    pub(super) monitor_id: MonitorId,
    monitor: StoredMonitor,
    /// Where a heartbeat is reported to, where that is told.
    heartbeat_path: Option<String>,
}

impl Registered {
    /// The monitor as its owner sees it, this once with where it is reported to.
    pub(super) fn body(self) -> Result<MonitorBody, Problem> {
        let body = MonitorBody::of_stored(self.monitor_id, self.monitor);
        let body = body.ok_or_else(Problem::not_found)?;
        Ok(MonitorBody { heartbeat_path: self.heartbeat_path, ..body })
    }
}

/// The monitor that the key led to the first time, if the body is the one of that time; none if it led to
/// none yet. What has become of the monitor since does not matter, unless it was archived.
async fn registered_before(
    state: &CommandState,
    organization_id: OrganizationId,
    with_key: Option<MonitorId>,
    hash: &BodyHash,
) -> Result<Option<(MonitorId, StoredMonitor)>, Problem> {
    /// What counts here of an event's metadata.
    #[derive(Deserialize)]
    struct Kept {
        body_hash: Option<String>,
    }
    let Some(monitor_id) = with_key else { return Ok(None) };
    let id = monitor_id.to_string();
    let first = read_aggregate(&state.store.read, Monitor::AGGREGATE, &id, 0, 1).await?;
    let Some(first) = first.first() else { return Ok(None) };
    let kept: Kept = serde_json::from_str(first.metadata.get()).map_err(Problem::internal)?;
    let kept = kept.body_hash.as_deref().and_then(from_hex);
    if !kept.is_some_and(|kept| hash.is(&kept)) {
        return Err(IdempotencyKey::reused());
    }
    let stored = state.monitors.load(organization_id, monitor_id).await?;
    if stored.monitor.archived {
        return Err(MonitorError::Archived.into());
    }
    Ok(Some((monitor_id, stored)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes().chunks(2);
    bytes.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}
