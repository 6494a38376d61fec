//! The OpenAPI document of the whole HTTP interface: `/api/openapi.json`, and a page for people at
//! `/docs` that loads nothing from elsewhere. `schemas/openapi.json` is its kept form.

mod errors;
mod examples;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use pulsetrail_infra::http::Components;
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;

/// The short forms: the path, the full form's path, and the methods of it that they have.
const SHORT_FORMS: [(&str, &str, &[&str]); 3] = [
    ("/api/websites", "/api/v1/monitors", &["get", "post"]),
    ("/api/websites/{id}", "/api/v1/monitors/{id}", &["get", "delete"]),
    ("/monitors/{id}/check", "/api/v1/monitors/{id}/check", &["post"]),
];

const PAGE: &str = include_str!("page.html");
/// The page's own script and style, and the document: nothing else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The routes that show the document.
pub(crate) fn router() -> Router {
    let document = document().to_string();
    let show =
        async move || ([(header::CONTENT_TYPE, "application/json")], document).into_response();
    let page = async || {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY)),
        ];
        (headers, PAGE).into_response()
    };
    Router::new().route("/api/openapi.json", get(show)).route("/docs", get(page))
}

/// The document, with one order of everything, so that it can be compared.
pub(crate) fn document() -> Value {
    let read = paths(pulsetrail_projections::documented_router());
    let mut paths = paths(pulsetrail_commands::documented_router());
    for (path, item) in read {
        let known = paths.entry(path).or_insert_with(|| json!({}));
        if let (Some(known), Value::Object(item)) = (known.as_object_mut(), item) {
            known.extend(item);
        }
    }
    add_short_forms(&mut paths);
    let mut schemas = Components::default();
    pulsetrail_commands::components(&mut schemas);
    pulsetrail_projections::components(&mut schemas);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pulsetrail",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "An event-sourced uptime monitor. Errors are problem details (RFC 9457) \
                with a stable `code`; lists are `{items, next_cursor}`, and `next_cursor` goes back \
                as `cursor`; times are RFC 3339, UTC.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "accounts", "description": "Getting in and out."},
            {"name": "people", "description": "Who may do what: members, invitations, API keys."},
            {"name": "monitors", "description": "What is checked, and how."},
            {"name": "heartbeats", "description": "What is watched and reports by itself."},
            {"name": "history", "description": "What was found out, and when it was known."},
            {"name": "live", "description": "What happens, as it happens."},
            {"name": "egress", "description": "Which addresses are dialled, and which were refused."},
            {"name": "system", "description": "What is alive, and how jobs flow."},
            {"name": "operations", "description": "What went wrong inside."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas.take(),
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "An access token, or an API key, which begins with `pt_`.",
                },
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": "pulsetrail_session",
                    "description": "A browser's session, from pages of the same origin.",
                },
            },
        },
    });
    errors::add(&mut document);
    examples::add(&mut document);
    sorted(document)
}

fn paths<S>(routes: OpenApiRouter<S>) -> Map<String, Value>
where
    S: Send + Sync + Clone + 'static,
{
    // What utoipa builds always serialises.
    let document = serde_json::to_value(routes.into_openapi()).unwrap_or_default();
    document.get("paths").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn add_short_forms(paths: &mut Map<String, Value>) {
    for (short, full, methods) in SHORT_FORMS {
        let Some(full) = paths.get(full).and_then(Value::as_object) else { continue };
        let mut item = Map::new();
        for method in methods {
            let Some(mut operation) = full.get(*method).cloned() else { continue };
            let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
            let id = format!("{id}Short");
            if let Some(operation) = operation.as_object_mut() {
                operation.insert("operationId".to_owned(), id.into());
            }
            item.insert((*method).to_owned(), operation);
        }
        paths.insert(short.to_owned(), Value::Object(item));
    }
}

/// The same with the fields of every object in the order of their names.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
