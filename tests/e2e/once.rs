//! A command that is sent again, whatever happened to the first one, has its effect once.

use std::time::Duration;

use pulsetrail_harness::{Answer, Server, User, eventually, until_ready};
use pulsetrail_infra::store::{APPEND_LOCK, Store};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

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

/// Holds the lock of the log until a request waits for it: all that it still has to do is to commit, in
/// one statement, and to answer.
async fn hold_the_log(store: &Store) -> Transaction<'static, Postgres> {
    let mut held = store.read.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(APPEND_LOCK)
        .execute(&mut *held)
        .await
        .unwrap();
    held
}

async fn until_it_waits(store: &Store) {
    let waits = "select exists (select from pg_locks join pg_database on pg_database.oid = database
                 where locktype = 'advisory' and not granted and datname = current_database())";
    eventually("the command waits for the lock", async || {
        sqlx::query_scalar::<_, bool>(waits).fetch_one(&store.write).await.unwrap().then_some(())
    })
    .await;
}

async fn until_registered(store: &Store, number: i64) {
    eventually("the registration is committed", async || {
        (registered(&store.write).await == number).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_between_the_commit_and_the_answer_makes_one_monitor() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let store = corner.store().await;
    let held = hold_the_log(&store).await;
    let first = tokio::spawn({
        let user = user.clone();
        async move { register(&user).await }
    });
    until_it_waits(&store).await;
    // Postgres goes on; the server learns nothing of it any more.
    app.signal("-STOP");
    held.rollback().await.unwrap();
    until_registered(&store, 1).await;
    app.kill().await;
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

/// Sends a registration and cuts the connection, with a reset, before it is answered.
async fn register_and_cut(user: &User, store: &Store, key: &str) {
    let before = registered(&store.write).await;
    let held = hold_the_log(store).await;
    let body = json!({"url": "https://example.com"}).to_string();
    let host = user.url.strip_prefix("http://").unwrap();
    let request = format!(
        "POST {ROUTE} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n{key}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        user.token,
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    until_it_waits(store).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    held.rollback().await.unwrap();
    until_registered(store, before + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_before_the_answer_makes_one_monitor() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let store = corner.store().await;
    register_and_cut(&user, &store, "idempotency-key: once\r\n").await;
    let answer = register(&user).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    assert_eq!(registered(&store.read).await, 1);

    // Whoever sends no key has two: that would be seen.
    register_and_cut(&user, &store, "").await;
    let body = json!({"url": "https://example.com"});
    assert_eq!(user.post(ROUTE, &body).await.status, StatusCode::CREATED);
    assert_eq!(registered(&store.read).await, 1 + 2);
}

/// How many events of monitors there are, of each kind.
async fn kept(store: &Store) -> [i64; 3] {
    let count = "select count(*) from events where aggregate_type = 'monitor' and event_type = $1";
    let mut kept = [0; 3];
    for (place, name) in
        ["MonitorRegistered", "MonitorPaused", "MonitorResumed"].into_iter().enumerate()
    {
        let number = sqlx::query_scalar(count).bind(name).fetch_one(&store.read).await;
        kept[place] = number.unwrap();
    }
    kept
}

async fn ask(user: &User, path: &str, key: Option<&str>, body: &Value) -> Option<Answer> {
    let request = user.request(Method::POST, path).json(body);
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    let response = request.timeout(Duration::from_secs(10)).send().await.ok()?;
    let (status, headers) = (response.status(), response.headers().clone());
    Some(Answer { status, headers, body: response.json().await.ok()? })
}

/// Sends a request to a server that dies when Postgres has committed what it asked for, or the first of
/// it, and before it has answered.
async fn ask_and_die(server: Server, user: &User, store: &Store, path: &str, body: &Value) {
    let before: i64 = kept(store).await.iter().sum();
    let held = hold_the_log(store).await;
    let cut = tokio::spawn({
        let (user, path, body) = (user.at(&server.url), path.to_owned(), body.clone());
        async move { ask(&user, &path, Some("once"), &body).await }
    });
    until_it_waits(store).await;
    server.stand_still();
    held.rollback().await.unwrap();
    eventually("what was asked for is committed", async || {
        (kept(store).await.iter().sum::<i64>() > before).then_some(())
    })
    .await;
    server.kill().await;
    assert!(cut.await.unwrap().is_none(), "nobody was answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_die_between_the_commit_and_the_answer_pause_once_and_do_each_of_many_once() {
    let corner = corner().await;
    let app = corner.start().await;
    let (user, store) = (User::sign_up(&app.url).await, corner.store().await);
    let (alone, among) = (watched(&user).await, watched(&user).await);
    let (one, other) = tokio::join!(corner.server(), corner.server());
    let (path, bulk) = (format!("{ROUTE}/{alone}/pause"), format!("{ROUTE}/bulk"));
    let register = json!({"action": "register", "monitor": {"url": "https://example.com"}});
    let many = json!({"operations": [register, {"action": "pause", "id": among}, register]});
    ask_and_die(one, &user, &store, &path, &json!({})).await;
    ask_and_die(other, &user, &store, &bulk, &many).await;

    // Somebody resumes the monitor meanwhile: that is not undone by what is sent again.
    ask(&user, &format!("{ROUTE}/{alone}/resume"), None, &json!({})).await.unwrap();
    for _ in 0..2 {
        let paused = ask(&user, &path, Some("once"), &json!({})).await.unwrap();
        assert_eq!((paused.status, &paused.body["version"]), (StatusCode::OK, &json!(3)));
        let all = ask(&user, &bulk, Some("once"), &many).await.unwrap();
        assert_eq!(all.body["succeeded"], 3, "{}", all.body);
        assert_eq!(kept(&store).await, [2 + 2, 2, 1]);
    }

    // Whoever sends no key does it all once more: that would be seen.
    let paused = ask(&user, &path, None, &json!({})).await.unwrap();
    assert_eq!(paused.body["version"], 4);
    ask(&user, &bulk, None, &many).await.unwrap();
    assert_eq!(kept(&store).await, [2 + 2 + 2, 3, 1]);
}

/// The id of a new monitor.
async fn watched(user: &User) -> String {
    let answer = user.post(ROUTE, &json!({"url": "https://example.com"})).await;
    answer.body["id"].as_str().unwrap().to_owned()
}
