//! Examples of bodies, for people and for programs that try the interface out.

use serde_json::{Value, json};

/// Adds an example to the schemas that have one here.
pub(super) fn add(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas") else { return };
    for (name, example) in examples() {
        if let Some(schema) = schemas.get_mut(name).and_then(Value::as_object_mut) {
            schema.insert("examples".to_owned(), json!([example]));
        }
    }
}

fn examples() -> Vec<(&'static str, Value)> {
    let monitor = "0190b5a0-1111-7000-8000-000000000001";
    let person = "0190b5a0-2222-7000-8000-000000000002";
    let key = "0190b5a0-5555-7000-8000-000000000005";
    vec![
        (
            "RegisterBody",
            json!({"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}),
        ),
        ("LoginBody", json!({"email": "ada@example.com", "password": "correct horse battery"})),
        ("RefreshBody", json!({"refresh_token": "6c0d….4f1a…"})),
        (
            "PasswordBody",
            json!({"current_password": "correct horse battery", "new_password": "staple battery"}),
        ),
        ("EraseBody", json!({"password": "correct horse battery"})),
        ("ApiKeyBody", json!({"name": "deploys", "role": "editor"})),
        (
            "CreatedApiKey",
            json!({
                "id": key, "name": "deploys", "role": "editor", "hint": "9f3c",
                "created_by": person, "created_at": "2026-07-01T08:00:00Z", "expires_at": null,
                "last_used_at": null, "secret": "pt_…9f3c",
            }),
        ),
        ("MemberBody", json!({"role": "viewer"})),
        ("InvitationBody", json!({"email": "grace@example.com", "role": "editor"})),
        ("AcceptBody", json!({"token": "inv_…"})),
        (
            "BulkBody",
            json!({"operations": [
                {"action": "register", "monitor": {"url": "https://example.com"}},
                {"action": "pause", "id": monitor},
            ]}),
        ),
        (
            "Problem",
            json!({
                "status": 422, "code": "validation_failed", "title": "Unprocessable Entity",
                "detail": "Some values are not valid.",
                "errors": [{"pointer": "/interval_seconds", "detail": "must be 1 to 86400"}],
            }),
        ),
    ]
}
