//! How operations fail: the same way everywhere, and so said in one place.

use serde_json::{Map, Value, json};

/// Adds to every operation the refusals that it can lead to, and says that its body is needed.
pub(super) fn add(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths.iter_mut() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let statuses = statuses(path, method, operation);
            require(path, operation);
            let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut)
            else {
                continue;
            };
            for (status, description) in statuses {
                responses.entry(status.to_owned()).or_insert_with(|| problem(status, description));
            }
        }
    }
}

/// A body is needed but where a cookie can stand for it; a parameter that is left out is not null.
fn require(path: &str, operation: &mut Value) {
    if let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) {
        body.insert("required".to_owned(), (!path.ends_with("/refresh")).into());
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if let Some(kind) = parameter.pointer_mut("/schema/type")
            && let Some(kinds) = kind.as_array()
            && let Some(only) = kinds.iter().find(|kind| *kind != "null")
        {
            *kind = only.clone();
        }
    }
}

fn statuses(path: &str, method: &str, operation: &Value) -> Vec<(&'static str, &'static str)> {
    let is_secured = operation.get("security").is_some();
    let header = |name: &str| {
        operation.get("parameters").and_then(Value::as_array).is_some_and(|parameters| {
            parameters.iter().any(|parameter| parameter.get("name") == Some(&name.into()))
        })
    };
    let mut statuses = vec![
        ("400", "The request cannot be read."),
        ("431", "There are more headers than a request may have."),
        ("429", "There were too many: wait as long as `Retry-After` says."),
        ("500", "Something is wrong here; `request_id` is for who runs the installation."),
        ("503", "An engine is busy or away: try again."),
    ];
    if is_secured {
        statuses.push(("401", "No good credential was shown."));
        statuses.push(("403", "The caller may not do this."));
    } else {
        statuses.push(("401", "The credentials are not good."));
        statuses.push(("403", "This is not open to the caller."));
    }
    if path.contains('{') || path.ends_with("/accept") || path.ends_with("/sse") {
        statuses.push(("404", "There is no such thing, or it is another organization's."));
    }
    if method != "get" {
        statuses.push(("409", "It is in a state that does not allow this."));
        statuses.push(("413", "The body is too long."));
        statuses.push(("408", "The body did not come in time."));
        statuses.push(("415", "The body is not said to be JSON."));
        statuses.push(("422", "Some values are not valid; `errors` has all of them."));
    }
    if header("If-Match") {
        statuses.push(("412", "It is at another version."));
    }
    statuses
}

fn problem(status: &str, description: &str) -> Value {
    let mut response = Map::new();
    response.insert("description".to_owned(), description.into());
    response.insert(
        "content".to_owned(),
        json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}),
    );
    if matches!(status, "429" | "503") {
        let number = |description: &str, minimum: u32| json!({"description": description, "schema": {"type": "integer", "minimum": minimum}});
        let mut headers = json!({ "retry-after": number("Seconds to wait.", 1) });
        if status == "429" {
            headers["ratelimit-limit"] = number("Requests that there may be in a minute.", 1);
            headers["ratelimit-remaining"] = number("How many of them are left.", 0);
            headers["ratelimit-reset"] = number("Seconds until there are more.", 1);
        }
        response.insert("headers".to_owned(), headers);
    }
    Value::Object(response)
}
