//! `POST /api/v1/monitors/{id}/check`: a check at once, besides those of the schedule. Its job goes
//! through a topic of its own, so that it waits behind none of the schedule's.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pulsetrail_domain::check::CheckResult;
use pulsetrail_domain::{CheckId, MonitorId, Timestamp};
use pulsetrail_infra::http::{BodyHash, IdempotencyKey, Parameters, Problem};
use pulsetrail_infra::store::{database_time, recorded_on_demand};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::CommandState;
use super::super::no_body::NoBody;
use super::ask::{ask, can_be_checked};
use super::response::Addressed;
use super::wait::Wait;

/// The check that was asked for; its result is recorded under this id.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CheckAsked {
    check_id: CheckId,
}

/// Whether the caller waits for the result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckParameters {
    wait: Option<Wait>,
}

/// Asks for a check from the monitor's first region: 202 with its id, or with `wait` 200 with the
/// result if it comes in time. 409 of a monitor that is paused or archived. With an `Idempotency-Key` it
/// is the same check however often it is asked for.
#[utoipa::path(
    post,
    path = "/api/v1/monitors/{id}/check",
    tag = "monitors",
    operation_id = "checkMonitor",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("wait" = Option<String>, Query, description = "How long the answer may be held back for the result, such as `10s` or `500ms`; at most 30 s, and no longer than the server lets a request take.", pattern = "^(([0-9]|[12][0-9]|30)s|([0-9]{1,4}|[12][0-9]{4}|30000)ms)$"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed; another one is 412.", pattern = "^(\\*|\"[0-9]{1,18}\")$"),
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    responses(
        (status = 200, description = "What the check found out.", body = ref(pulsetrail_infra::http::schema_of::<CheckResult>())),
        (status = 202, description = "The check that was asked for.", body = ref(pulsetrail_infra::http::schema_of::<CheckAsked>())),
    ),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn check(
    State(state): State<CommandState>,
    addressed: Addressed,
    key: IdempotencyKey,
    Parameters(parameters): Parameters<CheckParameters>,
    _: NoBody,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let monitor = addressed.load(&state).await?.monitor;
    let organization_id = addressed.identity().organization_id;
    let route = format!("POST /api/v1/monitors/{}/check", addressed.monitor_id());
    let pool = &state.store.write;
    let nothing = BodyHash::of(&state.keyring, &Value::Null);
    let first_asked = key.claim(pool, organization_id, &route, &nothing).await?;
    let now = database_time(&state.store.read).await?;
    let check_id = check_id(now, first_asked, key.id(organization_id, &route));
    let whose = (addressed.monitor_id(), organization_id);
    let trace = addressed.context().trace();
    let permitted = addressed.expected_version(&monitor).and_then(|_| can_be_checked(&monitor));
    if let Err(refusal) = permitted {
        // What was asked for before was permitted then.
        let result = made_before(&state, whose.0, check_id, first_asked).await?.ok_or(refusal)?;
        return Ok(match parameters.wait {
            Some(_) => Json(result).into_response(),
            None => asked(check_id),
        });
    }
    let Some(wait) = parameters.wait else {
        ask(&state, whose, &monitor, (check_id, now), trace).await?;
        return Ok(asked(check_id));
    };
    let until = begun + state.rules.longest_wait.min(wait.0);
    let mut awaited = state.awaited_checks.wait_for(whose.0, check_id);
    if let Some(result) = made_before(&state, whose.0, check_id, first_asked).await? {
        return Ok(Json(result).into_response());
    }
    ask(&state, whose, &monitor, (check_id, now), trace).await?;
    Ok(match tokio::time::timeout_at(until, awaited.result()).await {
        Ok(result) => Json(result).into_response(),
        Err(_) => asked(check_id),
    })
}

fn asked(check_id: CheckId) -> Response {
    (StatusCode::ACCEPTED, Json(CheckAsked { check_id })).into_response()
}

/// The result of a check that was asked for with a key: sent again, it may have been made long ago.
pub(super) async fn made_before(
    state: &CommandState,
    monitor_id: MonitorId,
    check_id: CheckId,
    first_asked: Option<Timestamp>,
) -> Result<Option<CheckResult>, Problem> {
    match first_asked {
        Some(_) => Ok(recorded_on_demand(&state.store.read, monitor_id, check_id).await?),
        None => Ok(None),
    }
}

/// The id of a check on demand: a UUIDv7 of `now`, or one of when a key came first, so that each further
/// time leads to the same check. Both times are the database's: the check is looked up by them.
pub(super) fn check_id(
    now: Timestamp,
    first_asked: Option<Timestamp>,
    with_key: Option<Uuid>,
) -> CheckId {
    let (at, id) = first_asked.zip(with_key).unwrap_or_else(|| (now, Uuid::new_v4()));
    let mut random = [0; 10];
    random.copy_from_slice(&id.as_bytes()[6..]);
    let milliseconds = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    CheckId(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::timestamp_from_millis;

    use super::*;

    #[test]
    fn a_key_leads_to_the_same_check_of_the_time_that_it_came_first() {
        let at = timestamp_from_millis(1_767_225_600_000);
        let now = timestamp_from_millis(1_767_311_999_999);
        let id = check_id(now, Some(at), Some(Uuid::from_u128(7)));
        assert_eq!(check_id(now, Some(at), Some(Uuid::from_u128(7))), id);
        assert_ne!(check_id(now, Some(at), Some(Uuid::from_u128(8))), id);
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_timestamp().unwrap().to_unix().0, 1_767_225_600);
        let without_key = check_id(now, None, None);
        assert_eq!(without_key.0.get_version_num(), 7);
        assert_eq!(without_key.0.get_timestamp().unwrap().to_unix().0, 1_767_311_999);
        assert_ne!(check_id(now, None, None), without_key);
    }
}
