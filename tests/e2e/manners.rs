//! What every route of the running server has in common: limits, headers, a line in the log, and an end
//! that leaves nobody without an answer.

use std::time::Duration;

use pulsetrail_harness::{App, User, eventually, http_client};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::corner;

const MONITORS: &str = "/api/v1/monitors";

/// What is answered to a request that is written by hand, and the body as JSON.
async fn by_hand(user: &User, head: &str, body: &str) -> (u16, String, Value) {
    let host = user.url.strip_prefix("http://").unwrap();
    let request = format!(
        "{head} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nauthorization: Bearer {}\r\n{body}",
        user.token
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer").ok();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (status, head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_keeps_to_the_limits_and_every_refusal_has_its_form() {
    let corner = corner().await;
    let mut command = corner.command(["up"]);
    command.env("PULSETRAIL_REQUEST_SECONDS", "3");
    let app = App::start(command, &corner.data_dir.path().join("test.log")).await;
    let user = User::sign_up(&app.url).await;
    let json = "content-type: application/json\r\n";
    let post = format!("POST {MONITORS}");
    let with = |body: &str| format!("{json}content-length: {}\r\n\r\n{body}", body.len());
    let long = format!(r#"{{"url":"{}"}}"#, "a".repeat(300_000));
    // No length is said: what comes is counted.
    let chunked =
        format!("{json}transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let deep = format!(r#"{{"tags":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let headers = format!("{}\r\n", "x-some: value\r\n".repeat(70));
    for (head, rest, status, code) in [
        (post.as_str(), with(&long), 413, "body_too_large"),
        (&post, chunked, 413, "body_too_large"),
        (&post, with(&deep), 400, "nested_too_deep"),
        (&post, with("{"), 400, "malformed_json"),
        (&post, with(r#"{"surprise":1}"#), 422, "validation_failed"),
        (&post, "content-length: 2\r\n\r\n{}".to_owned(), 415, "unsupported_media_type"),
        (&post, format!("content-encoding: gzip\r\n{}", with("{}")), 415, "unsupported_media_type"),
        // A body that does not come.
        (&post, format!("{json}content-length: 10\r\n\r\n{{"), 408, "body_timeout"),
        (&format!("GET {MONITORS}"), headers, 431, "too_many_headers"),
        (&format!("PUT {MONITORS}"), with("{}"), 405, "method_not_allowed"),
        ("GET /api/v1/me", "idempotency-key: \r\nx-request-id: r-1\r\n\r\n".to_owned(), 200, ""),
        ("GET /nowhere", "\r\n".to_owned(), 404, "not_found"),
    ] {
        let (got, headers, body) = by_hand(&user, head, &rest).await;
        assert_eq!(
            (got, body["code"].as_str().unwrap_or_default()),
            (status, code),
            "{head}: {body}"
        );
        for header in [
            "x-request-id: ",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'",
            "cache-control: no-store",
        ] {
            assert!(headers.contains(header), "{head} has no {header}: {headers}");
        }
        assert!(!headers.contains("access-control-allow-origin"), "{headers}");
        let problem = headers.contains("content-type: application/problem+json");
        assert_eq!(problem, status >= 400, "{headers}");
    }
    let (_, headers, _) = by_hand(&user, &format!("PUT {MONITORS}"), &with("{}")).await;
    assert!(
        headers.contains("allow: GET,HEAD,POST") || headers.contains("allow: POST,GET,HEAD"),
        "{headers}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_compressed_for_who_wants_it_and_told_in_the_log_without_secrets() {
    let corner = corner().await;
    let mut command = corner.command(["up"]);
    command.env("PULSETRAIL_LOG_FORMAT", "json");
    let log = corner.data_dir.path().join("test.log");
    let app = App::start(command, &log).await;
    let user = User::sign_up(&app.url).await;
    let get = async |path: &str, encoding: &str| {
        let request = http_client().get(format!("{}{path}", app.url)).bearer_auth(&user.token);
        request.header("accept-encoding", encoding).send().await.unwrap()
    };
    let (plain, packed) =
        (get("/api/openapi.json", "identity").await, get("/api/openapi.json", "gzip").await);
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["vary"], "accept-encoding");
    let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
    assert!(packed.len() * 4 < plain.len(), "{} of {}", packed.len(), plain.len());
    // What is told as it happens waits for no compressor.
    let feed = get("/api/v1/live/sse", "gzip").await;
    assert!(!feed.headers().contains_key("content-encoding"), "{:?}", feed.headers());
    drop(feed);

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = user
        .request(Method::POST, MONITORS)
        .header("x-request-id", "told-1")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let made = user.send(request.json(&json!({"url": "https://example.com"}))).await;
    assert_eq!(made.headers["x-request-id"], "told-1");
    let line = eventually("the request is told", async || {
        let said = std::fs::read_to_string(&log).unwrap();
        let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["request.id"] == "told-1")
    })
    .await;
    assert_eq!((&line["http.method"], &line["http.route"]), (&json!("POST"), &json!(MONITORS)));
    assert_eq!((&line["http.status"], &line["trace.id"]), (&json!(201), &json!(trace)));
    assert!(line["http.duration_us"].as_u64().is_some_and(|took| took > 0), "{line}");
    let said = std::fs::read_to_string(&log).unwrap();
    for secret in [user.token.as_str(), "correct horse", "@example.com"] {
        assert!(!said.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_is_answered_before_the_server_ends() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let store = corner.store().await;
    // The answer needs this table.
    let mut lock = store.read.begin().await.unwrap();
    sqlx::query("lock table monitor_view in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let under_way = tokio::spawn({
        let user = user.clone();
        async move { user.get(MONITORS).await }
    });
    let waits = "select exists (select from pg_locks
                 where relation = 'monitor_view'::regclass and not granted)";
    eventually("the request waits for the table", async || {
        sqlx::query_scalar::<_, bool>(waits).fetch_one(&store.write).await.unwrap().then_some(())
    })
    .await;
    app.signal("-TERM");
    let host = app.url.strip_prefix("http://").unwrap().to_owned();
    eventually("nobody else is let in", async || {
        TcpStream::connect(&host).await.is_err().then_some(())
    })
    .await;
    assert!(!under_way.is_finished());
    lock.rollback().await.unwrap();
    let answer = under_way.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(app.stopped().await.success());
}
