//! Keys of programs.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Commands;
use super::access::{register, request, status, text};
use crate::corner;

async fn make(commands: &Commands, token: &str, body: &Value) -> Value {
    let made = request(commands, Method::POST, "api-keys", token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_acts_for_its_organization_until_it_is_revoked() {
    let commands = Commands::start(&corner().await).await;
    let (_, owner) = register(&commands).await;
    let token = text(&owner["access_token"]);
    let key = make(&commands, &token, &json!({"name": "deploy", "role": "editor"})).await;
    let secret = text(&key["secret"]);
    assert!(secret.starts_with("pt_") && secret.ends_with(&text(&key["hint"])), "{key}");
    let stored: i64 =
        sqlx::query_scalar("select count(*) from api_keys where api_keys::text like $1")
            .bind(format!("%{}%", &secret[3..]))
            .fetch_one(&commands.store.read)
            .await
            .unwrap();
    assert_eq!(stored, 0, "a secret is kept as a hash");

    let me = request(&commands, Method::GET, "me", &secret, &Value::Null).await.body;
    assert_eq!((&me["api_key_id"], &me["role"]), (&key["id"], &json!("editor")));
    assert_eq!(me["organization"], owner["organization"]);
    let url = json!({"url": "https://example.com"});
    let made = request(&commands, Method::POST, "monitors", &secret, &url).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let metadata: Value =
        sqlx::query_scalar("select metadata from events where event_type = 'MonitorRegistered'")
            .fetch_one(&commands.store.read)
            .await
            .unwrap();
    assert_eq!(metadata["api_key"], key["id"]);
    let list = request(&commands, Method::GET, "api-keys", &token, &Value::Null).await.body;
    assert!(list["items"][0]["last_used_at"].is_string(), "{list}");
    assert_eq!(list["items"][0]["secret"], Value::Null);

    let path = format!("api-keys/{}", text(&key["id"]));
    let revoked = request(&commands, Method::DELETE, &path, &token, &Value::Null).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(status(&commands, &secret).await, 401, "revoked at once");
    let again = request(&commands, Method::DELETE, &path, &token, &Value::Null).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let events = commands.events_of("organization").await;
    assert_eq!(events, ["OrganizationCreated", "ApiKeyCreated", "ApiKeyRevoked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_no_more_than_its_role_and_its_maker_and_makes_no_other() {
    let commands = Commands::start(&corner().await).await;
    let (_, owner) = register(&commands).await;
    let token = text(&owner["access_token"]);
    let viewer = make(&commands, &token, &json!({"name": "read", "role": "viewer"})).await;
    let url = json!({"url": "https://example.com"});
    let refused =
        request(&commands, Method::POST, "monitors", &text(&viewer["secret"]), &url).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let powerful = make(&commands, &token, &json!({"name": "all", "role": "owner"})).await;
    let powerful = text(&powerful["secret"]);
    let someone = text(&owner["user"]["id"]);
    for (method, path, body) in [
        (Method::POST, "api-keys", json!({"name": "more", "role": "owner"})),
        (Method::PUT, "me/password", json!({"current_password": "x", "new_password": "y"})),
        (Method::DELETE, "me", json!({"password": "x"})),
        (Method::POST, "auth/logout", json!({})),
        (Method::GET, "organizations", Value::Null),
        (Method::POST, "invitations", json!({"email": "eve@example.com", "role": "owner"})),
        (Method::DELETE, &format!("invitations/{someone}"), Value::Null),
        (Method::PATCH, &format!("members/{someone}"), json!({"role": "owner"})),
        (Method::DELETE, &format!("members/{someone}"), Value::Null),
    ] {
        let answer = request(&commands, method.clone(), path, &powerful, &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}: {}", answer.body);
    }
    let me = request(&commands, Method::GET, "me", &powerful, &Value::Null).await;
    assert_eq!(me.body["role"], "owner");
    sqlx::query("update members set role = 'viewer'").execute(&commands.store.write).await.unwrap();
    let me = request(&commands, Method::GET, "me", &powerful, &Value::Null).await;
    assert_eq!(me.body["role"], "viewer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_ends_when_it_was_said_to() {
    let commands = Commands::start(&corner().await).await;
    let (_, owner) = register(&commands).await;
    let token = text(&owner["access_token"]);
    let past = json!({"name": "", "role": "god", "expires_at": "2020-01-01T00:00:00Z"});
    let refused = request(&commands, Method::POST, "api-keys", &token, &past).await;
    let pointers: Vec<&str> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/name", "/role", "/expires_at"]);
    let body = json!({"name": "soon", "role": "viewer", "expires_at": "2999-01-01T00:00:00Z"});
    let key = make(&commands, &token, &body).await;
    let secret = text(&key["secret"]);
    assert_eq!(status(&commands, &secret).await, 200);
    sqlx::query("update api_keys set expires_at = clock_timestamp()")
        .execute(&commands.store.write)
        .await
        .unwrap();
    assert_eq!(status(&commands, &secret).await, 401);
}
