//! The document against what it promises.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// Everything that a document refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let ("$ref", Some(to)) = (name.as_str(), value.as_str()) {
                    found.insert(to.to_owned());
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_kept_document_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi.json");
    let now = format!("{:#}\n", document());
    if std::env::var_os("PULSETRAIL_WRITE_SCHEMAS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "the interface has changed; look at it, and run\n    \
         PULSETRAIL_WRITE_SCHEMAS=1 cargo test -p pulsetrail --bin pulsetrail api_document"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{method} {path}: {name} is taken");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
        }
    }
}

/// Every body of an operation, with where it is: the status, or none of a request's.
fn contents(operation: &Value) -> Vec<(&str, &Value)> {
    let request = operation.get("requestBody").map(|body| ("", body));
    let responses = operation["responses"].as_object().unwrap().iter();
    let bodies = request.into_iter().chain(responses.map(|(status, body)| (&**status, body)));
    let contents = bodies.filter_map(|(at, body)| Some((at, body["content"].as_object()?)));
    contents.flat_map(|(at, content)| content.values().map(move |one| (at, one))).collect()
}

/// What is wrong with the examples of a document, all of it.
fn faults_of_examples(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let kept = document["components"]["examples"].as_object().unwrap();
    let options = jsonschema::options().should_validate_formats(true);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (at, content) in contents(operation) {
                let Some(reference) = content["examples"]["usual"]["$ref"].as_str() else {
                    faults.push(format!("{method} {path} {at} has no example"));
                    continue;
                };
                let name = reference.strip_prefix("#/components/examples/").unwrap();
                let Some(example) = kept.get(name) else {
                    faults.push(format!("{method} {path} {at}: there is no {name}"));
                    continue;
                };
                if !known.insert(name) {
                    continue;
                }
                let components = &document["components"];
                let schema = json!({"components": components, "allOf": [content["schema"]]});
                let schema = if content["schema"].is_null() { json!(true) } else { schema };
                let validator = options.build(&schema).unwrap();
                for fault in validator.iter_errors(&example["value"]) {
                    faults.push(format!("{name}: {fault} at {}", fault.instance_path()));
                }
                let of_an_error = at.parse::<u16>().is_ok_and(|status| status >= 400);
                if of_an_error && example["value"]["status"].as_u64() != at.parse().ok() {
                    faults.push(format!("{name} is the example of a {at}"));
                }
            }
        }
    }
    // Those that pages are made of are shown in them.
    let unused = kept.keys().filter(|name| {
        !known.contains(name.as_str()) && !known.contains(format!("{name}Page").as_str())
    });
    faults.extend(unused.map(|name| format!("{name} is the example of nothing")));
    faults
}

#[test]
fn every_body_has_an_example_that_its_schema_allows() {
    let mut document = document();
    assert_eq!(faults_of_examples(&document), Vec::<String>::new(), "see examples.json");

    // One that is missing, one that is not what its schema says, and one of another status are seen.
    let login = &mut document["paths"]["/api/v1/auth/login"]["post"];
    login["requestBody"]["content"]["application/json"]["examples"].take();
    let examples = &mut document["components"]["examples"];
    examples["MemberBody"]["value"] = json!({"role": "god"});
    examples["Member"]["value"]["joined_at"] = json!("yesterday");
    examples["Problem404"]["value"]["status"] = json!(403);
    let faults = faults_of_examples(&document).join("\n");
    for fault in [
        "post /api/v1/auth/login  has no example",
        "MemberBody: ",
        "Member: \"yesterday\"",
        "Problem404 is the example of a 404",
    ] {
        assert!(faults.contains(fault), "{fault} is not among:\n{faults}");
    }
}

#[test]
fn every_operation_is_under_a_heading() {
    let document = document();
    let tags = document["tags"].as_array().unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let own = operation["tags"].as_array().unwrap();
            let known = own.iter().all(|own| tags.iter().any(|tag| tag["name"] == *own));
            assert!(known && own.len() == 1, "{method} {path}: {own:?}");
        }
    }
}

/// Sent again with its key, a request has its effect once. An answer with a secret is not kept, and so
/// not given again; a report is recognised by its time.
#[test]
fn every_post_that_returns_no_secret_takes_an_idempotency_key() {
    let secret = [
        "register",
        "login",
        "refresh",
        "switchOrganization",
        "createApiKey",
        "createInvitation",
        "createLiveTicket",
        "rotateHeartbeatToken",
        "postHeartbeat",
        "postHeartbeatOutcome",
    ];
    for (path, item) in document()["paths"].as_object().unwrap() {
        let Some(operation) = item.get("post") else { continue };
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let takes_a_key =
            parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"));
        let name = operation["operationId"].as_str().unwrap();
        assert_eq!(takes_a_key, !secret.contains(&name), "{path}");
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("src="));
}
