//! `PATCH /api/v1/monitors/{id}`: a monitor is checked in another way.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use pulsetrail_domain::monitor::{
    Monitor, MonitorCommand, MonitorConfig, MonitorError, MonitorRequest, Violation, whole_url,
};
use pulsetrail_infra::http::Problem;
use serde_json::{Value, json};

use super::super::CommandState;
use super::super::json_body::JsonBody;
use super::body::{self, ParsedBody};
use super::readers::has_patterns;
use super::response::{Addressed, respond};
use super::{ask, merge_patch, rules};

/// How often a patch is made again on a monitor that others change at the same time.
const ATTEMPTS: usize = 8;

/// Changes what the patch names and nothing else (RFC 7396): 200 with the monitor. 412 where
/// `If-Match` names another version.
#[utoipa::path(
    patch,
    path = "/api/v1/monitors/{id}",
    tag = "monitors",
    operation_id = "changeMonitor",
    params(
        ("id" = uuid::Uuid, Path, description = "Its id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed; another one is 412.", pattern = "^(\\*|\"[0-9]{1,18}\")$"),
    ),
    request_body = ref(pulsetrail_infra::http::schema_of::<super::body::MonitorPatch>()),
    responses((status = 200, description = "The monitor as it is then.", body = ref(pulsetrail_infra::http::schema_of::<pulsetrail_infra::http::MonitorBody>()), headers(("etag" = String, description = "Its version, for `If-Match`.")))),
    security(("bearer" = []), ("cookie" = [])),
)]
pub(crate) async fn reconfigure(
    State(state): State<CommandState>,
    addressed: Addressed,
    JsonBody(patch): JsonBody<Value>,
) -> Result<Response, Problem> {
    for _ in 0..ATTEMPTS {
        let current = addressed.load(&state).await?.monitor;
        let asked_for = addressed.expected_version(&current)?;
        let (parsed, before) = patched(&state, &current, patch.clone()).await?;
        if let Err(objection) = rules::judge(&state.rules, &parsed, Some(before)) {
            return Err(addressed.refuse(&state, *objection).await);
        }
        let sealed = parsed.secrets.seal(&state.keyring, current.organization_id)?;
        let target_changes = parsed.config.target != before.target;
        let config = Box::new(parsed.config);
        let request = MonitorRequest {
            // What was not in the patch comes from this version: it goes with no other.
            expected_version: Some(current.version),
            command: MonitorCommand::Reconfigure { config },
        };
        match addressed.execute_at(&state, request, sealed).await {
            Err(problem) if is_outrun(&problem) && asked_for.is_none() => {}
            done => {
                let changed = done?;
                if target_changes {
                    let whose = (addressed.monitor_id(), current.organization_id);
                    let trace = addressed.context().trace();
                    ask::ask_after_change(&state, whose, &changed.monitor, trace).await;
                }
                return respond(&state, StatusCode::OK, addressed.monitor_id(), changed);
            }
        }
    }
    Err(Problem::unavailable("others change the monitor all the time"))
}

fn is_outrun(problem: &Problem) -> bool {
    problem.status == StatusCode::PRECONDITION_FAILED.as_u16()
}

/// What the patch makes of the monitor, and the configuration before.
async fn patched<'a>(
    state: &CommandState,
    current: &'a Monitor,
    patch: Value,
) -> Result<(ParsedBody, &'a MonitorConfig), Problem> {
    let before = current.config.as_ref().ok_or(MonitorError::NotFound)?;
    if current.archived {
        return Err(MonitorError::Archived.into());
    }
    let before_json = serde_json::to_value(before).map_err(Problem::internal)?;
    let has_patterns = has_patterns(&patch) || has_patterns(&before_json);
    let of_before = before.clone();
    let merge = move || merge(&of_before, patch);
    let parsed = state.readers.read(current.organization_id, has_patterns, merge).await?;
    Ok((parsed, before))
}

/// The configuration that a patch makes of another one. `url` is short for `target.url` here too.
fn merge(before: &MonitorConfig, patch: Value) -> Result<ParsedBody, Problem> {
    let mut patch = patch;
    let mut short = false;
    if let Value::Object(fields) = &mut patch
        && let Some(url) = fields.remove("url")
    {
        if fields.contains_key("target") {
            let detail = "says again what target says: give one of them";
            return Err(Problem::invalid(vec![Violation::new("/url", detail)]));
        }
        let url = match url {
            Value::String(text) => Value::String(whole_url(text)),
            other => other,
        };
        fields.insert("target".to_owned(), json!({"url": url}));
        short = true;
    }
    let mut before_json = serde_json::to_value(before).map_err(Problem::internal)?;
    let kind = patch.pointer("/target/type").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != before.target.kind())
        && let Some(fields) = before_json.as_object_mut()
    {
        // Of another kind of target nothing stays.
        fields.remove("target");
    }
    let of_auth = |config: &Value| config.pointer("/target/auth/type").cloned();
    if of_auth(&patch).is_some_and(|kind| Some(kind) != of_auth(&before_json))
        && let Some(target) = before_json.get_mut("target").and_then(Value::as_object_mut)
    {
        // Nor of another way to say who asks.
        target.remove("auth");
    }
    let merged = body::read_change(merge_patch::apply(before_json, patch), before);
    if !short {
        return merged;
    }
    merged.map(|parsed| ParsedBody { url_pointer: body::SHORT_URL, ..parsed }).map_err(
        |mut problem| {
            for violation in &mut problem.errors {
                if violation.pointer == body::FULL_URL {
                    violation.pointer = body::SHORT_URL.to_owned();
                }
            }
            problem
        },
    )
}

#[cfg(test)]
mod tests {
    use pulsetrail_domain::monitor::Target;

    use super::*;

    fn before() -> MonitorConfig {
        let body = json!({
            "target": {"type": "http", "url": "https://example.com", "headers": {"accept": "*/*"}},
            "name": "one", "tags": {"team": "a", "tier": "1"}, "quorum": 1,
        });
        body::read(body).unwrap().config
    }

    fn refused(patch: Value) -> Vec<String> {
        let problem = merge(&before(), patch).unwrap_err();
        assert_eq!(problem.status, 422);
        problem.errors.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        assert_eq!(merge(&before(), json!({})).unwrap().config, before());
        let patch = json!({
            "interval_seconds": 30, "quorum": null, "tags": {"tier": null, "env": "prod"},
            "target": {"method": "HEAD"},
        });
        let after = merge(&before(), patch).unwrap().config;
        assert_eq!((after.interval_seconds, after.quorum), (30, None));
        assert_eq!(after.tags.keys().collect::<Vec<_>>(), ["env", "team"]);
        let Target::Http(http) = &after.target else { panic!("another kind") };
        assert_eq!((http.method.as_str(), http.headers.len()), ("HEAD", 1));
        assert_eq!(after.name, "one");
    }

    #[test]
    fn null_brings_a_default_back() {
        let after = merge(&before(), json!({"name": null, "tags": null, "retries": null})).unwrap();
        assert_eq!(after.config.name, "example.com");
        assert!(after.config.tags.is_empty());
    }

    #[test]
    fn the_url_can_be_changed_in_short() {
        let after = merge(&before(), json!({"url": "https://example.org"})).unwrap();
        assert_eq!(after.config.target.summary(), "https://example.org/");
        assert_eq!(after.url_pointer, "/url");
        let Target::Http(http) = &after.config.target else { panic!("another kind") };
        assert_eq!(http.headers.len(), 1, "the rest of the target stays");
        let bare = merge(&before(), json!({"url": "example.org"})).unwrap().config;
        assert_eq!(bare.target.summary(), "https://example.org/");
        assert_eq!(refused(json!({"url": "nothing"})), ["/url"]);
        assert_eq!(refused(json!({"url": null})), ["/url"]);
        assert_eq!(refused(json!({"url": "https://example.org", "target": {}})), ["/url"]);
    }

    #[test]
    fn secrets_stay_until_they_are_replaced_or_taken_away() {
        let http = json!({
            "type": "http", "url": "https://example.com",
            "auth": {"type": "basic", "username": "ada", "password": "one"},
            "secret_headers": {"x-one": "one", "x-two": "two"},
        });
        let before = body::read(json!({ "target": http })).unwrap().config;
        let after = |target: Value| {
            let merged = merge(&before, json!({ "target": target })).unwrap().config;
            let Target::Http(http) = merged.target else { panic!("another kind") };
            http
        };
        let Target::Http(was) = before.target.clone() else { panic!("another kind") };
        assert_eq!(after(json!({"method": "GET"})), was);
        let named = after(json!({"auth": {"username": "grace"}}));
        assert_eq!(named.auth.map(|auth| auth.secret()), was.auth.as_ref().map(|one| one.secret()));
        let replaced = after(json!({"auth": {"password": "another"}}));
        assert_ne!(replaced.auth, was.auth);
        assert_eq!(replaced.secret_headers, was.secret_headers);
        let bearer = after(json!({"auth": {"type": "bearer", "token": "three"}}));
        assert!(bearer.secrets().all(|one| Some(one) != was.auth.as_ref().map(|one| one.secret())));
        let fewer = after(json!({"auth": null, "secret_headers": {"x-one": null}}));
        assert_eq!((fewer.auth, fewer.secret_headers.len()), (None, 1));
        // Elsewhere they do not go.
        let moved = merge(&before, json!({"url": "https://example.org"})).unwrap_err();
        assert_eq!(moved.errors.len(), 3, "{:?}", moved.errors);
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        let mut pointers = refused(json!({"id": 1, "status": "up", "target": {"x": 1}}));
        pointers.sort();
        assert_eq!(pointers, ["/id", "/status", "/target/x"]);
        assert_eq!(refused(json!({"interval_seconds": 5})), ["/timeout_ms"]);
        assert_eq!(refused(json!({"target": null})), ["/url"]);
        assert_eq!(refused(json!([1])), [""]);
    }
}
