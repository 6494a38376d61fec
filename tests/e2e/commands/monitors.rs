//! Registering monitors, pausing and archiving them.

use pulsetrail_harness::{Answer, User};
use pulsetrail_infra::http::load_monitor_body;
use pulsetrail_infra::store::APPEND_LOCK;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Commands;
use crate::corner;

async fn with_key(user: &User, key: &str, body: &Value) -> Answer {
    let request = user.request(Method::POST, "/api/v1/monitors").header("idempotency-key", key);
    user.send(request.json(body)).await
}

async fn register(user: &User) -> String {
    let answer = user.post("/api/v1/monitors", &json!({"url": "https://example.com"})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_alone_registers_a_monitor() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let request = user.request(Method::POST, "/api/v1/monitors").header("x-request-id", "r-1");
    let answer = user.send(request.json(&json!({"url": "https://example.com"}))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let id = answer.body["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/api/v1/monitors/{id}"));
    assert_eq!(answer.headers["etag"], "\"1\"");
    assert_eq!(answer.body["status"], "pending");
    assert_eq!(answer.body["status_since"], answer.body["registered_at"]);

    // The read model says the same.
    let organization_id = user.organization.parse().unwrap();
    let read = load_monitor_body(&commands.store.read, organization_id, id.parse().unwrap());
    let read = read.await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), answer.body);
    let metadata: Value =
        sqlx::query_scalar("select metadata from events where aggregate_type = 'monitor'")
            .fetch_one(&commands.store.read)
            .await
            .unwrap();
    assert_eq!(metadata["organization_id"], user.organization.as_str());
    assert_eq!(metadata["request_id"], "r-1");
    assert!(metadata["actor"].is_string(), "{metadata}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_is_sent_again_meets_itself() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let body = json!({"url": "https://example.com"});
    let all = tokio::join!(
        with_key(&user, "k", &body),
        with_key(&user, "k", &body),
        with_key(&user, "k", &body)
    );
    for answer in [&all.0, &all.1, &all.2] {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert_eq!(answer.body, all.0.body);
    }
    assert_eq!(commands.events().await, 1);

    let other = with_key(&user, "k", &json!({"url": "https://example.org"})).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.body["code"], "idempotency_key_reused");
    // What became of the monitor since is no other body.
    let id = all.0.body["id"].as_str().unwrap();
    let paused = user.post(&format!("/api/v1/monitors/{id}/pause"), &json!({})).await;
    assert_eq!(paused.status, StatusCode::OK);
    let again = with_key(&user, "k", &body).await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &json!(id)));
    assert_eq!(again.body["version"], 2);
    // Another organization's key is another key.
    let stranger = with_key(&User::sign_up(&commands.url).await, "k", &body).await;
    assert_eq!(stranger.status, StatusCode::CREATED, "{}", stranger.body);
    assert_ne!(stranger.body["id"], id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_is_paused_resumed_and_archived() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let path = format!("/api/v1/monitors/{}", register(&user).await);
    for (command, status, version) in
        [("pause", "paused", 2), ("pause", "paused", 2), ("resume", "pending", 3)]
    {
        let answer = user.post(&format!("{path}/{command}"), &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["version"], version);
        assert_eq!(answer.headers["etag"], format!("\"{version}\""));
    }
    for _ in 0..2 {
        let answer = user.send(user.request(Method::DELETE, &path)).await;
        assert_eq!((answer.status, answer.body), (StatusCode::NO_CONTENT, Value::Null));
    }
    assert_eq!(commands.events().await, 4);
    let answer = user.post(&format!("{path}/pause"), &json!({})).await;
    assert_eq!((answer.status, &answer.body["code"]), (StatusCode::CONFLICT, &json!("archived")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_of_another_organization_is_not_there() {
    let commands = Commands::start(&corner().await).await;
    let owner = User::sign_up(&commands.url).await;
    let stranger = User::sign_up(&commands.url).await;
    let id = register(&owner).await;
    let path = format!("/api/v1/monitors/{id}");
    for (method, path) in [
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::DELETE, format!("/api/websites/{id}")),
        (Method::POST, format!("{path}/pause")),
        (Method::POST, format!("{path}/resume")),
        (Method::POST, format!("{path}/check")),
    ] {
        let body = if method == Method::PATCH { json!({"name": "mine"}) } else { json!({}) };
        let request = stranger.request(method, &path).json(&body);
        let answer = stranger.send(request).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::NOT_FOUND, &json!("not_found"))
        );
    }
    assert_eq!(commands.events().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_short_forms_do_the_same() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let answer = user.post("/api/websites", &json!({"url": "https://example.com"})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let path = format!("/api/websites/{}", answer.body["id"].as_str().unwrap());
    let archived = user.send(user.request(Method::DELETE, &path)).await;
    assert_eq!(archived.status, StatusCode::NO_CONTENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_reads_its_own_write_also_where_the_read_model_is_late() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let path = format!("/api/v1/monitors/{}", register(&user).await);
    sqlx::query("delete from monitor_view").execute(&commands.store.write).await.unwrap();
    let paused = user.post(&format!("{path}/pause"), &json!({})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);
    assert_eq!((&paused.body["status"], &paused.body["version"]), (&json!("paused"), &json!(2)));
    assert_eq!(paused.body["status_since"], paused.body["changed_at"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_log_is_busy_a_caller_is_told_to_come_back() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let mut holder = commands.store.read.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(APPEND_LOCK)
        .execute(&mut *holder)
        .await
        .unwrap();
    let body = json!({"url": "https://example.com"});
    let refused = with_key(&user, "k", &body).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.body);
    assert_eq!(refused.headers["retry-after"], "1");
    holder.rollback().await.unwrap();
    assert_eq!(with_key(&user, "k", &body).await.status, StatusCode::CREATED);
    assert_eq!(commands.events().await, 1);
}
