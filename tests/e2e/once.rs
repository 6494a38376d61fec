//! A registration that is sent again, whatever happened to the first one, makes one monitor.

use std::time::Duration;

use pulsetrail_harness::{Answer, User, eventually, until_ready};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;

use crate::corner;

const ROUTE: &str = "/api/v1/monitors";

async fn register(user: &User) -> Option<Answer> {
    let body = json!({"url": "https://example.com"});
    let request = user.request(Method::POST, ROUTE).header("idempotency-key", "once").json(&body);
    let response = request.timeout(Duration::from_secs(10)).send().await.ok()?;
    let (status, headers) = (response.status(), response.headers().clone());
    Some(Answer { status, headers, body: response.json().await.ok()? })
}

async fn registered(pool: &PgPool) -> i64 {
    let count = "select count(*) from events where event_type = 'MonitorRegistered'";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_between_the_commit_and_the_answer_makes_one_monitor() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let store = corner.store().await;
    // The answer needs this table, the commit does not.
    let mut lock = store.read.begin().await.unwrap();
    sqlx::query("lock table monitor_status in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let first = tokio::spawn({
        let user = user.clone();
        async move { register(&user).await }
    });
    eventually("the registration is committed", async || {
        (registered(&store.write).await == 1).then_some(())
    })
    .await;
    app.kill().await;
    lock.rollback().await.unwrap();
    assert!(first.await.unwrap().is_none(), "nobody was answered");

    let app = corner.start().await;
    until_ready(&app.url).await;
    let again = user.at(&app.url);
    let answer = register(&again).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let other = again.request(Method::POST, ROUTE).header("idempotency-key", "once");
    let other = again.send(other.json(&json!({"url": "https://example.org"}))).await;
    assert_eq!(other.body["code"], "idempotency_key_reused", "{}", other.body);
    assert_eq!(registered(&store.read).await, 1);
    assert_eq!(again.get(ROUTE).await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_before_the_answer_makes_one_monitor() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let store = corner.store().await;
    let mut lock = store.read.begin().await.unwrap();
    sqlx::query("lock table monitor_status in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let first = tokio::spawn({
        let user = user.clone();
        async move { register(&user).await }
    });
    eventually("the registration is committed", async || {
        (registered(&store.write).await == 1).then_some(())
    })
    .await;
    first.abort();
    assert!(first.await.is_err(), "the connection is cut");
    lock.rollback().await.unwrap();
    let answer = register(&user).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(registered(&store.read).await, 1);
}
