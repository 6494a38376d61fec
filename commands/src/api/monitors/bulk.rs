//! `POST /api/v1/monitors/bulk`: up to 1,000 things at once, each with a result of its own.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use pulsetrail_domain::monitor::{MonitorCommand, MonitorRequest, PatternBudget, Violation};
use pulsetrail_domain::{CheckId, MonitorId, Timestamp};
use pulsetrail_infra::http::{BodyHash, IdempotencyKey, Identity, MonitorBody, Problem};
use pulsetrail_infra::store::database_time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::super::request::{RequestContext, Writer};
use super::once::Marked;
use super::register::Registration;
use super::{ask, check};

/// Operations in one call at most.
const MAX_OPERATIONS: usize = 1_000;
/// Operations under way at once.
const CONCURRENCY: usize = 8;
const ROUTE: &str = "POST /api/v1/monitors/bulk";

/// The body of a bulk call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkBody {
    /// What is to be done: 1 to 1,000, to each monitor at most one thing.
    #[schemars(length(min = 1, max = 1000))]
    operations: Vec<Operation>,
}

/// One thing that is to be done.
#[derive(Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Operation {
    /// Register a monitor: the body of `POST /api/v1/monitors`.
    Register {
        /// The monitor's body.
        #[schemars(with = "super::body::MonitorInput")]
        monitor: Value,
    },
    /// Pause one.
    Pause {
        /// Which.
        id: MonitorId,
    },
    /// Resume one.
    Resume {
        /// Which.
        id: MonitorId,
    },
    /// Archive one.
    Archive {
        /// Which.
        id: MonitorId,
    },
    /// Check one at once.
    Check {
        /// Which.
        id: MonitorId,
    },
}

impl Operation {
    fn monitor_id(&self) -> Option<MonitorId> {
        match self {
            Self::Register { .. } => None,
            Self::Pause { id }
            | Self::Resume { id }
            | Self::Archive { id }
            | Self::Check { id } => Some(*id),
        }
    }
}

/// What became of one operation.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OperationResult {
    /// Its place in the call, from 0.
    index: usize,
    /// The status that a call of its own would have had.
    status: u16,
    /// The monitor; null where it was not registered.
    id: Option<MonitorId>,
    /// The monitor as it is then, where it is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitor: Option<Box<MonitorBody>>,
    /// The check that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    check_id: Option<CheckId>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// What became of all of them.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BulkResult {
    /// In the order of the call.
    items: Vec<OperationResult>,
    /// How many were done.
    succeeded: usize,
    /// How many were not.
    failed: usize,
}

/// Does up to 1,000 things at once: 200 with a result for each, whatever became of the others.
#[utoipa::path(
    post,
    path = "/api/v1/monitors/bulk",
    tag = "monitors",
    operation_id = "bulkMonitors",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A text of the caller's own: the same request sent again with it has its effect once.", min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body = ref(pulsetrail_infra::http::schema_of::<BulkBody>()),
    responses((status = 200, description = "What became of each.", body = ref(pulsetrail_infra::http::schema_of::<BulkResult>()))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn bulk(
    State(state): State<CommandState>,
    Writer(identity): Writer,
    context: RequestContext,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<BulkResult>, Problem> {
    let BulkBody { operations } = super::super::json_body::parse_value(body.clone())?;
    validate(&operations)?;
    // The call itself was counted as one.
    let more = u32::try_from(operations.len() - 1).unwrap_or(u32::MAX);
    state.authenticator.count_commands(identity.organization_id, more).await?;
    let pool = &state.store.write;
    let body = BodyHash::of(&state.keyring, &body);
    let first_asked = key.claim(pool, identity.organization_id, ROUTE, &body).await?;
    let patterns = Arc::default();
    let call = Call { state: &state, identity, context, key, first_asked, patterns };
    let items: Vec<OperationResult> = stream::iter(operations.into_iter().enumerate())
        .map(|(index, operation)| call.carry_out(index, operation))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let failed = items.iter().filter(|item| item.problem.is_some()).count();
    Ok(Json(BulkResult { succeeded: items.len() - failed, failed, items }))
}

fn validate(operations: &[Operation]) -> Result<(), Problem> {
    let mut violations = Vec::new();
    if !(1..=MAX_OPERATIONS).contains(&operations.len()) {
        violations.push(Violation::new("/operations", "must have 1 to 1000 items"));
    }
    let mut seen = HashSet::new();
    for (index, operation) in operations.iter().enumerate() {
        if operation.monitor_id().is_some_and(|id| !seen.insert(id)) {
            let pointer = format!("/operations/{index}/id");
            violations.push(Violation::new(pointer, "is named twice in one call"));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Problem::invalid(violations)) }
}

/// What the operations of a call have in common.
struct Call<'a> {
    state: &'a CommandState,
    identity: Identity,
    context: RequestContext,
    key: IdempotencyKey,
    first_asked: Option<Timestamp>,
    /// What the patterns of all operations may still cost.
    patterns: Arc<Mutex<PatternBudget>>,
}

impl Call<'_> {
    async fn carry_out(&self, index: usize, operation: Operation) -> OperationResult {
        let id = operation.monitor_id();
        let done = match operation {
            Operation::Register { monitor } => self.register(index, monitor).await,
            Operation::Pause { id } => self.command(index, id, MonitorCommand::Pause).await,
            Operation::Resume { id } => self.command(index, id, MonitorCommand::Resume).await,
            Operation::Archive { id } => self.command(index, id, MonitorCommand::Archive).await,
            Operation::Check { id } => self.check(index, id).await,
        };
        done.unwrap_or_else(|problem| OperationResult {
            index,
            status: problem.status,
            id,
            monitor: None,
            check_id: None,
            problem: Some(problem),
        })
    }

    async fn register(&self, index: usize, body: Value) -> Result<OperationResult, Problem> {
        let organization_id = self.identity.organization_id;
        let with_key = self.key.item_id(organization_id, ROUTE, Some(index)).map(MonitorId);
        let metadata = self.context.metadata(&self.identity);
        let patterns = Arc::clone(&self.patterns);
        let registration = Registration { organization_id, with_key, metadata, patterns };
        let registered = registration.carry_out(self.state, body).await?;
        let id = registered.monitor_id;
        let monitor = Some(Box::new(registered.body()?.probed_by(&self.state.probers)));
        let status = StatusCode::CREATED.as_u16();
        Ok(OperationResult { index, status, id: Some(id), monitor, check_id: None, problem: None })
    }

    async fn command(
        &self,
        index: usize,
        id: MonitorId,
        command: MonitorCommand,
    ) -> Result<OperationResult, Problem> {
        let archives = matches!(command, MonitorCommand::Archive);
        let organization_id = self.identity.organization_id;
        let request = MonitorRequest { expected_version: None, command };
        let metadata = self.context.metadata(&self.identity);
        let monitor = match self.key.item_id(organization_id, ROUTE, Some(index)) {
            None => self.state.monitors.execute(organization_id, id, request, metadata).await?,
            Some(mark) => {
                let marked = Marked { organization_id, monitor_id: id, mark };
                match marked.done_before(self.state).await? {
                    Some(monitor) => monitor,
                    None => marked.carry_out(self.state, request, metadata).await?,
                }
            }
        };
        let (status, monitor) = if archives {
            (StatusCode::NO_CONTENT, None)
        } else {
            let probed = |monitor: MonitorBody| Box::new(monitor.probed_by(&self.state.probers));
            (StatusCode::OK, MonitorBody::of_stored(id, monitor).map(probed))
        };
        let status = status.as_u16();
        Ok(OperationResult { index, status, id: Some(id), monitor, check_id: None, problem: None })
    }

    async fn check(&self, index: usize, id: MonitorId) -> Result<OperationResult, Problem> {
        let organization_id = self.identity.organization_id;
        let monitor = self.state.monitors.load(organization_id, id).await?.monitor;
        let with_key = self.key.item_id(organization_id, ROUTE, Some(index));
        let now = database_time(&self.state.store.read).await?;
        let check_id = check::check_id(now, self.first_asked, with_key);
        let trace = self.context.trace();
        let asked =
            ask::ask(self.state, (id, organization_id), &monitor, (check_id, now), trace).await;
        if let Err(refusal) = asked {
            // What was asked for before was permitted then.
            let made = check::made_before(self.state, id, check_id, self.first_asked).await?;
            made.ok_or(refusal)?;
        }
        let (status, check_id) = (StatusCode::ACCEPTED.as_u16(), Some(check_id));
        Ok(OperationResult { index, status, id: Some(id), monitor: None, check_id, problem: None })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(body: Value) -> Vec<String> {
        let read = super::super::super::json_body::parse_value::<BulkBody>(body);
        let problem = read.and_then(|body| validate(&body.operations)).unwrap_err();
        assert_eq!(problem.status, 422);
        problem.errors.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_call_names_each_monitor_once_and_has_no_more_than_a_thousand_operations() {
        let id = "0190b5a0-0000-7000-8000-000000000000";
        let pause = json!({"action": "pause", "id": id});
        assert_eq!(refused(json!({"operations": [pause, pause]})), ["/operations/1/id"]);
        assert_eq!(refused(json!({"operations": []})), ["/operations"]);
        let register = json!({"action": "register", "monitor": {}});
        assert_eq!(refused(json!({"operations": vec![register; 1_001]})), ["/operations"]);
        assert_eq!(
            refused(json!({"operations": [{"action": "explode"}]})),
            ["/operations/0/action"]
        );
        assert_eq!(refused(json!({"operations": [], "role": "owner"})), ["/role"]);
    }
}
