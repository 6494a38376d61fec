//! Monitors that report by themselves.

use std::collections::HashSet;

use pulsetrail_harness::{User, eventually, http_client, within};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::corner;
use crate::faults::{SETTLING, judge};

/// Registers a heartbeat that is due every `interval` seconds, and returns its id and where it reports.
async fn heartbeat(user: &User, interval: u32, grace: u32) -> (String, String) {
    let body = json!({
        "name": "backup", "interval_seconds": interval, "timeout_ms": 1_000,
        "target": {"type": "heartbeat", "grace_seconds": grace},
    });
    let answer = user.post("/api/v1/monitors", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let text =
        |name: &str| answer.body[name].as_str().unwrap_or_else(|| panic!("{name}")).to_owned();
    (text("id"), text("heartbeat_path"))
}

async fn report(user: &User, method: Method, path: &str) -> (StatusCode, Value) {
    let request = http_client().request(method, format!("{}{path}", user.url));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

/// The outcomes of the recorded checks, oldest first.
async fn outcomes(user: &User, monitor: &str) -> Vec<String> {
    let events = user.events(monitor).await;
    let checks = events.iter().filter(|event| event["event_type"] == "CheckCompleted");
    checks.map(|check| check["payload"]["outcome"].as_str().unwrap().to_owned()).collect()
}

async fn until_status(user: &User, monitor: &str, status: &str) {
    within(SETTLING, &format!("{monitor} is {status}"), async || {
        let answer = user.get(&format!("/api/v1/monitors/{monitor}")).await;
        (answer.body["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_missed_is_an_outage_and_a_late_one_ends_it() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let (monitor, path) = heartbeat(&user, 2, 1).await;
    assert_eq!(report(&user, Method::GET, &path).await.0, StatusCode::OK);
    until_status(&user, &monitor, "up").await;

    until_status(&user, &monitor, "down").await;
    let events = user.events(&monitor).await;
    let down = events.iter().find(|event| event["event_type"] == "WentDown").unwrap();
    assert_eq!(down["payload"]["cause"]["cause"], "heartbeat_missed", "{down}");
    assert_eq!(report(&user, Method::POST, &path).await.0, StatusCode::OK);
    until_status(&user, &monitor, "up").await;
    let events = user.events(&monitor).await;
    assert!(events.iter().any(|event| event["event_type"] == "Recovered"), "{events:?}");
    assert!(events.iter().all(|event| event["event_type"] != "ObservationLost"), "{events:?}");
    assert_eq!(judge::faults(&corner.store().await, &HashSet::new()).await, []);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_counts_once_however_often_it_is_sent_and_a_paused_monitor_takes_it() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let (monitor, path) = heartbeat(&user, 86_400, 60).await;
    // Sent again within 10 s; the control is the last one, which another row says came long before.
    let (_, first) = report(&user, Method::GET, &path).await;
    let (_, again) = report(&user, Method::POST, &path).await;
    assert_eq!(first["check_id"], again["check_id"]);
    let store = corner.store().await;
    sqlx::query("update heartbeats set newest_slot_ms = newest_slot_ms - 60000")
        .execute(&store.write)
        .await
        .unwrap();
    let (_, other) = report(&user, Method::GET, &path).await;
    assert_ne!(first["check_id"], other["check_id"]);
    eventually("two of the three are recorded", async || {
        (outcomes(&user, &monitor).await == ["up", "up"]).then_some(())
    })
    .await;

    let paused = user.post(&format!("/api/v1/monitors/{monitor}/pause"), &json!({})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);
    assert_eq!(report(&user, Method::GET, &path).await.0, StatusCode::OK);
    until_status(&user, &monitor, "paused").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_a_failure_takes_the_monitor_down_with_its_message() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let (monitor, path) = heartbeat(&user, 3_600, 60).await;
    // At once after a success, which it does not repeat.
    let mut ids = HashSet::new();
    for (method, query, status) in [
        (Method::GET, "", "up"),
        (Method::GET, "?status=down&msg=disk%20full", "down"),
        (Method::GET, "?status=up&msg=OK", "up"),
        (Method::POST, "/fail", "down"),
        (Method::GET, "/0", "up"),
        (Method::GET, "/3", "down"),
    ] {
        let (answer, body) = report(&user, method, &format!("{path}{query}")).await;
        assert_eq!(answer, StatusCode::OK, "{query}: {body}");
        assert!(ids.insert(body["check_id"].to_string()), "{query} repeats another");
        until_status(&user, &monitor, status).await;
    }
    assert_eq!(report(&user, Method::GET, &format!("{path}/gone")).await.0, StatusCode::NOT_FOUND);
    let odd = report(&user, Method::GET, &format!("{path}?status=odd")).await.0;
    assert_eq!(odd, StatusCode::BAD_REQUEST);
    let events = user.events(&monitor).await;
    let down = events.iter().filter(|event| event["event_type"] == "WentDown");
    let details: Vec<_> = down.map(|event| event["payload"]["cause"]["detail"].clone()).collect();
    let says = ["disk full", "", "exit code 3"].map(|message| match message {
        "" => json!("A report says that it failed."),
        message => json!(format!("A report says that it failed: {message}.")),
    });
    assert_eq!(details, says);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_told_once_kept_as_a_hash_and_replaced_on_request() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let (monitor, path) = heartbeat(&user, 3_600, 60).await;
    let shown = user.get(&format!("/api/v1/monitors/{monitor}")).await.body;
    assert!(shown.get("heartbeat_path").is_none(), "{shown}");
    assert_eq!(report(&user, Method::GET, "/hb/hb_nobodys").await.0, StatusCode::NOT_FOUND);

    let rotate = format!("/api/v1/monitors/{monitor}/heartbeat-token");
    let rotated = user.send(user.request(Method::POST, &rotate)).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.body);
    let new_path = rotated.body["heartbeat_path"].as_str().unwrap();
    assert_eq!(report(&user, Method::GET, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(report(&user, Method::GET, new_path).await.0, StatusCode::OK);

    // Neither the log nor a table holds a token.
    let store = corner.store().await;
    for token in [&path, new_path].map(|path| path.trim_start_matches("/hb/").to_owned()) {
        for query in [
            "select count(*) from events where payload::text || metadata::text like '%' || $1 || '%'",
            "select count(*) from heartbeats where heartbeats::text like '%' || $1 || '%'",
        ] {
            let found: i64 =
                sqlx::query_scalar(query).bind(&token).fetch_one(&store.read).await.unwrap();
            assert_eq!(found, 0, "{query}");
        }
    }
    // Archived, it reports to nobody.
    let path = format!("/api/v1/monitors/{monitor}");
    assert!(user.send(user.request(Method::DELETE, &path)).await.status.is_success());
    eventually("it is reported to nobody", async || {
        (report(&user, Method::GET, new_path).await.0 == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    app.stop().await;
}
