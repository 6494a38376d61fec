//! `GET` and `POST /hb/{token}`: something that is watched reports by itself.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use pulsetrail_domain::CheckId;
use pulsetrail_domain::health::report;
use pulsetrail_infra::http::{Problem, secret_hash};
use pulsetrail_infra::kafka::{message_headers, traced};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use pulsetrail_infra::trace::Traceparent;
use rdkafka::producer::FutureRecord;
use rdkafka::util::Timeout;
use schemars::JsonSchema;
use serde::Serialize;

use super::CommandState;
use crate::heartbeats;

/// How long the caller waits for Kafka.
const KAFKA_WAIT: Duration = Duration::from_secs(5);
/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 128;

/// A report that was taken.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Reported {
    /// The check that it is recorded as: the same for one that is sent again shortly after.
    check_id: CheckId,
}

/// Takes a report of a heartbeat monitor: 200 when it cannot be lost any more.
#[utoipa::path(
    get,
    path = "/hb/{token}",
    tag = "heartbeats",
    operation_id = "reportHeartbeat",
    params(("token" = String, Path, description = "The monitor's token.")),
    responses((status = 200, description = "The report is taken.", body = ref(pulsetrail_infra::http::schema_of::<Reported>()))),
)]
pub(crate) async fn get(
    State(state): State<CommandState>,
    token: Path<String>,
    parts: Parts,
) -> Result<Json<Reported>, Problem> {
    take(&state, &token, &parts).await
}

/// Takes a report of a heartbeat monitor: 200 when it cannot be lost any more. A body is not read.
#[utoipa::path(
    post,
    path = "/hb/{token}",
    tag = "heartbeats",
    operation_id = "postHeartbeat",
    params(("token" = String, Path, description = "The monitor's token.")),
    responses((status = 200, description = "The report is taken.", body = ref(pulsetrail_infra::http::schema_of::<Reported>()))),
)]
pub(crate) async fn post(
    State(state): State<CommandState>,
    token: Path<String>,
    parts: Parts,
) -> Result<Json<Reported>, Problem> {
    take(&state, &token, &parts).await
}

async fn take(state: &CommandState, token: &str, parts: &Parts) -> Result<Json<Reported>, Problem> {
    let found = match token.len() {
        0..=MAX_TOKEN_BYTES => heartbeats::find(&state.store.read, token).await?,
        _ => None,
    };
    let Some(found) = found else {
        state.authenticator.count_attempt(parts).await?;
        return Err(Problem::not_found());
    };
    state.reports.count(&secret_hash(token))?;
    let repeat_ms = found.heartbeat.repeat_ms();
    let pool = &state.store.write;
    let times = heartbeats::report_times(pool, found.monitor_id, repeat_ms).await?;
    let region = found.config.regions.first().cloned().unwrap_or_default();
    let heartbeats::Reported { monitor_id, organization_id, heartbeat, version, .. } = found;
    let result = report(monitor_id, region, heartbeat, version, times.slot, times.at);
    let check_id = result.check_id;
    send(state, &ResultMessage { monitor_id, organization_id, result, refusal: None }).await?;
    Ok(Json(Reported { check_id }))
}

async fn send(state: &CommandState, message: &ResultMessage) -> Result<(), Problem> {
    let payload = serde_json::to_vec(message).map_err(Problem::internal)?;
    let (topic, key) = (state.kafka.topics.results(), message.monitor_id.to_string());
    let check_id = message.result.check_id;
    let headers = message_headers(
        RESULT_TYPE,
        &check_id.to_string(),
        message.result.started_at,
        message.organization_id,
    );
    let headers = traced(headers, &Traceparent::of_check(check_id));
    let record = FutureRecord::to(&topic).key(&key).payload(&payload).headers(headers);
    let sent = state.producer.send(record, Timeout::After(KAFKA_WAIT));
    match tokio::time::timeout(KAFKA_WAIT, sent).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(Problem::unavailable(error)),
        // It may arrive yet: sent again, it is the same report.
        Err(_) => Err(Problem::unavailable("Kafka did not take a report in time")),
    }
}
