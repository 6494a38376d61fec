//! An example of every body, for people and for programs that try the interface out. They lie in
//! `examples.json` by the name of their schema; a problem's by its status.

use serde_json::{Map, Value, json};

const EXAMPLES: &str = include_str!("examples.json");

/// Adds the examples to the document's components, and to every body the one that is its own.
pub(super) fn add(document: &mut Value) {
    // A file that is no JSON has no examples, which a test finds.
    let mut examples: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let operations = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = operations.into_iter().flat_map(Map::values_mut);
    for operation in operations.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(body) = operation.get_mut("requestBody") {
            show(body, "", &mut examples);
        }
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            show(response, status, &mut examples);
        }
    }
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        let examples = examples.into_iter().map(|(name, value)| (name, json!({ "value": value })));
        components.insert("examples".to_owned(), Value::Object(examples.collect()));
    }
}

/// Refers each content of a body to its example.
fn show(body: &mut Value, status: &str, examples: &mut Map<String, Value>) {
    let contents = body.get_mut("content").and_then(Value::as_object_mut);
    for (content_type, content) in contents.into_iter().flatten() {
        let schema = content.pointer("/schema/$ref").and_then(Value::as_str).unwrap_or_default();
        let name = match schema.rsplit('/').next() {
            Some("Problem") => format!("Problem{status}"),
            Some("") | None => content_type.replace('/', "."),
            Some(name) => name.to_owned(),
        };
        if let Some(items) = name.strip_suffix("Page").and_then(|item| examples.get(item)) {
            let page = json!({"items": [items], "next_cursor": null});
            examples.insert(name.clone(), page);
        }
        if let (Some(content), true) = (content.as_object_mut(), examples.contains_key(&name)) {
            let reference = json!({"$ref": format!("#/components/examples/{name}")});
            content.insert("examples".to_owned(), json!({ "usual": reference }));
        }
    }
}
