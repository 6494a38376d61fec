//! `GET` and `POST /hb/{token}`: something that is watched reports by itself.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;
use pulsetrail_domain::CheckId;
use pulsetrail_domain::health::Report;
use pulsetrail_infra::http::{Problem, secret_hash};
use pulsetrail_infra::kafka::{message_headers, traced};
use pulsetrail_infra::messages::{RESULT_TYPE, ResultMessage};
use pulsetrail_infra::trace::Traceparent;
use rdkafka::producer::FutureRecord;
use rdkafka::util::Timeout;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CommandState;
use crate::heartbeats;

/// How long the caller waits for Kafka.
const KAFKA_WAIT: Duration = Duration::from_secs(5);
/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 128;
/// How much of a body is read, in bytes.
const MAX_BODY_BYTES: usize = 10 * 1024;

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
    params(
        ("token" = String, Path, description = "The monitor's token."),
        ("status" = Option<String>, Query, description = "`up`, or `down` for a report of a failure.", pattern = "^(up|down)?$"),
        ("msg" = Option<String>, Query, description = "What failed, for people."),
    ),
    responses((status = 200, description = "The report is taken.", body = ref(pulsetrail_infra::http::schema_of::<Reported>()))),
)]
pub(crate) async fn get(
    State(state): State<CommandState>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Json<Reported>, Problem> {
    take(&state, &token, None, request).await
}

/// Takes a report of a heartbeat monitor: 200 when it cannot be lost any more. A body in JSON may have the
/// fields `status` and `msg` in place of the parameters. Of a longer body the first 10 KiB are read.
#[utoipa::path(
    post,
    path = "/hb/{token}",
    tag = "heartbeats",
    operation_id = "postHeartbeat",
    params(
        ("token" = String, Path, description = "The monitor's token."),
        ("status" = Option<String>, Query, description = "`up`, or `down` for a report of a failure.", pattern = "^(up|down)?$"),
        ("msg" = Option<String>, Query, description = "What failed, for people."),
    ),
    responses((status = 200, description = "The report is taken.", body = ref(pulsetrail_infra::http::schema_of::<Reported>()))),
)]
pub(crate) async fn post(
    State(state): State<CommandState>,
    Path(token): Path<String>,
    request: Request,
) -> Result<Json<Reported>, Problem> {
    take(&state, &token, None, request).await
}

/// Takes a report with its outcome in the path: `fail`, or the exit code of a program, of which 0 is a
/// success.
#[utoipa::path(
    get,
    path = "/hb/{token}/{outcome}",
    tag = "heartbeats",
    operation_id = "reportHeartbeatOutcome",
    params(
        ("token" = String, Path, description = "The monitor's token."),
        ("outcome" = String, Path, description = "`fail`, or an exit code from 0 to 255.", pattern = "^(fail|[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"),
        ("msg" = Option<String>, Query, description = "What failed, for people."),
    ),
    responses((status = 200, description = "The report is taken.", body = ref(pulsetrail_infra::http::schema_of::<Reported>()))),
)]
pub(crate) async fn get_outcome(
    State(state): State<CommandState>,
    Path((token, outcome)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Reported>, Problem> {
    take(&state, &token, Some(&outcome), request).await
}

/// Takes a report with its outcome in the path: `fail`, or the exit code of a program, of which 0 is a
/// success. The body is the message, such as the end of the program's output.
#[utoipa::path(
    post,
    path = "/hb/{token}/{outcome}",
    tag = "heartbeats",
    operation_id = "postHeartbeatOutcome",
    params(
        ("token" = String, Path, description = "The monitor's token."),
        ("outcome" = String, Path, description = "`fail`, or an exit code from 0 to 255.", pattern = "^(fail|[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])$"),
        ("msg" = Option<String>, Query, description = "What failed, for people."),
    ),
    responses((status = 200, description = "The report is taken.", body = ref(pulsetrail_infra::http::schema_of::<Reported>()))),
)]
pub(crate) async fn post_outcome(
    State(state): State<CommandState>,
    Path((token, outcome)): Path<(String, String)>,
    request: Request,
) -> Result<Json<Reported>, Problem> {
    take(&state, &token, Some(&outcome), request).await
}

async fn take(
    state: &CommandState,
    token: &str,
    outcome: Option<&str>,
    request: Request,
) -> Result<Json<Reported>, Problem> {
    let (parts, body) = request.into_parts();
    let found = match token.len() {
        0..=MAX_TOKEN_BYTES => heartbeats::find(&state.store.read, token).await?,
        _ => None,
    };
    let Some(found) = found else {
        state.authenticator.count_attempt(&parts).await?;
        return Err(Problem::not_found());
    };
    state.reports.count(&secret_hash(token))?;
    let is_json = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = is_json.is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
    let said = Said {
        outcome,
        query: parts.uri.query().unwrap_or_default(),
        body: &beginning(body).await,
        is_json,
    };
    let failure = said.failure()?;
    let (pool, monitor_id) = (&state.store.write, found.monitor_id);
    let (repeat_ms, failed) = (found.heartbeat.repeat_ms(), failure.is_some());
    let times = heartbeats::report_times(pool, monitor_id, repeat_ms, failed).await?;
    let region = found.config.regions.first().cloned().unwrap_or_default();
    let heartbeats::Reported { organization_id, heartbeat, version, .. } = found;
    let report = Report { slot: times.slot, at: times.at, failure };
    let result = report.result(monitor_id, region, heartbeat, version);
    let check_id = result.check_id;
    send(state, &ResultMessage { monitor_id, organization_id, result, refusal: None }).await?;
    Ok(Json(Reported { check_id }))
}

/// The beginning of a body; nothing more where it breaks off.
async fn beginning(body: Body) -> Vec<u8> {
    let mut read = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        read.extend_from_slice(&piece);
        if read.len() >= MAX_BODY_BYTES {
            read.truncate(MAX_BODY_BYTES);
            break;
        }
    }
    read
}

/// What a report says, and where.
struct Said<'a> {
    /// In the path.
    outcome: Option<&'a str>,
    query: &'a str,
    body: &'a [u8],
    is_json: bool,
}

/// What a body in JSON may say.
#[derive(Default, Deserialize)]
struct SaidInJson {
    status: Option<String>,
    msg: Option<String>,
}

impl Said<'_> {
    /// What failed; none where all is well.
    fn failure(&self) -> Result<Option<String>, Problem> {
        let mut json = SaidInJson::default();
        // Many send JSON without saying so, and what else there may be in a body is no mistake.
        if self.is_json || self.body.first() == Some(&b'{') {
            json = serde_json::from_slice(self.body).unwrap_or_default();
        }
        let in_query = |wanted: &str| {
            let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
            pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let status = in_query("status").or(json.status);
        let message = in_query("msg").or(json.msg);
        let has_failed = match self.outcome {
            Some("fail") => true,
            Some(text) => match text.parse::<u8>() {
                Ok(code) if code.to_string() == text => code != 0,
                _ => return Err(Problem::not_found()),
            },
            None => match status.as_deref() {
                None | Some("up" | "") => false,
                Some("down") => true,
                Some(_) => return Err(Problem::bad_request("`status` must be \"up\" or \"down\"")),
            },
        };
        let exit_code = self.outcome.filter(|outcome| *outcome != "fail");
        let by_path = || match (self.outcome, String::from_utf8_lossy(self.body).trim()) {
            (Some(_), text) if !text.is_empty() => Some(text.to_owned()),
            _ => exit_code.map(|code| format!("exit code {code}")),
        };
        Ok(has_failed.then(|| message.or_else(by_path).unwrap_or_default()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(outcome: Option<&str>, query: &str, body: &str) -> Result<Option<String>, u16> {
        let said = Said { outcome, query, body: body.as_bytes(), is_json: false };
        said.failure().map_err(|problem| problem.status)
    }

    #[test]
    fn a_report_says_in_several_ways_what_failed() {
        let failed = |message: &str| Ok(Some(message.to_owned()));
        for all_is_well in ["", "status=up&msg=OK&ping=12", "ping=", "status="] {
            assert_eq!(failure(None, all_is_well, "any text"), Ok(None), "{all_is_well}");
        }
        assert_eq!(failure(None, "status=down&msg=disk%20full&ping=", ""), failed("disk full"));
        assert_eq!(failure(None, "status=down", ""), failed(""));
        assert_eq!(failure(None, "", r#"{"status": "down", "msg": "no"}"#), failed("no"));
        assert_eq!(failure(None, "", r#"{"status": "up"}"#), Ok(None));
        assert_eq!(failure(None, "", r#"{"other": 1}"#), Ok(None));
        assert_eq!(failure(Some("fail"), "", "the end\n"), failed("the end"));
        assert_eq!(failure(Some("fail"), "msg=why", "text"), failed("why"));
        assert_eq!(failure(Some("0"), "", "text"), Ok(None));
        assert_eq!(failure(Some("3"), "", ""), failed("exit code 3"));
        assert_eq!(failure(Some("255"), "", "text"), failed("text"));
        assert_eq!(failure(None, "status=ok", ""), Err(400));
        for unknown in ["256", "-1", "+1", "01", "start", "log"] {
            assert_eq!(failure(Some(unknown), "", ""), Err(404), "{unknown}");
        }
    }
}
