//! The path of one check, end to end.

use std::time::Duration;

use pulsetrail_harness::{Target, User, eventually};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::corner;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_is_checked_goes_down_and_recovers_and_everybody_sees_it() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;

    let monitor = user.watch(&target.url()).await;
    let first = feed.until_event("CheckCompleted").await;
    assert_eq!(first["monitor_id"], monitor.as_str());
    assert_eq!(first["event"]["data"]["outcome"], "up", "{first}");
    assert_eq!(first["event"]["specversion"], "1.0");

    target.die();
    let down = feed.until_event("WentDown").await;
    assert_eq!(down["event"]["data"]["cause"]["cause"], "connect_refused", "{down}");
    user.until_status(&monitor, "down").await;

    target.come_back().await;
    let recovered = feed.until_event("Recovered").await;
    assert_eq!(recovered["event"]["data"]["since"], down["event"]["data"]["since"]);
    user.until_status(&monitor, "up").await;

    the_log_is_whole(&user, &monitor).await;
    analytics_agree_with_the_log(&user, &monitor).await;
    assert!(app.stop().await.success());
}

/// Each sequence once and in order, each slot once, and the first events as they must be.
async fn the_log_is_whole(user: &User, monitor: &str) {
    let events = user.events(monitor).await;
    let positions: Vec<i64> = events.iter().map(|e| e["position"].as_i64().unwrap()).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
    assert_eq!(events[0]["event_type"], "MonitorRegistered");
    assert_eq!(events[0]["payload"]["config"]["interval_seconds"], 1, "{}", events[0]);
    for aggregate in ["monitor", "health"] {
        let sequences = events.iter().filter(|event| event["aggregate_type"] == aggregate);
        for (expected, event) in (1..).zip(sequences) {
            assert_eq!(event["sequence"], expected, "{event}");
        }
    }
    let mut slots: Vec<&str> = checks_in(&events)
        .map(|event| event["payload"]["scheduled_at"].as_str().unwrap())
        .collect();
    let count = slots.len();
    slots.sort_unstable();
    slots.dedup();
    assert_eq!(slots.len(), count, "a slot was recorded twice");
}

fn checks_in(events: &[Value]) -> impl Iterator<Item = &Value> {
    events.iter().filter(|event| event["event_type"] == "CheckCompleted")
}

/// Every check of the log is in ClickHouse once, with the same fields; the uptime adds up.
async fn analytics_agree_with_the_log(user: &User, monitor: &str) {
    let events = user.events(monitor).await;
    let newest = checks_in(&events).last().unwrap()["payload"].clone();
    let checks = eventually("the newest check is in ClickHouse", async || {
        let path = format!("/api/v1/monitors/{monitor}/checks?limit=1000");
        let answer = user.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let items = answer.body["items"].as_array().unwrap().clone();
        items.iter().any(|item| item["check_id"] == newest["check_id"]).then_some(items)
    })
    .await;
    for logged in checks_in(&events) {
        let logged = &logged["payload"];
        let found: Vec<&Value> =
            checks.iter().filter(|check| check["check_id"] == logged["check_id"]).collect();
        assert_eq!(found.len(), 1, "{logged}");
        for (field, value) in logged.as_object().unwrap() {
            assert_eq!(&found[0][field], value, "{field} of {logged}");
        }
    }
    let answer = user.get(&format!("/api/v1/monitors/{monitor}/uptime?window=24h")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let uptime = answer.body;
    let seconds = |field: &str| uptime[field].as_f64().unwrap_or_else(|| panic!("{uptime}"));
    let (up, down) = (seconds("up_seconds"), seconds("down_seconds"));
    assert!(up > 0.0 && down > 0.0, "{uptime}");
    assert!((uptime["uptime_ratio"].as_f64().unwrap() - up / (up + down)).abs() < 1e-9, "{uptime}");
    assert_eq!(uptime["outages"], 1, "{uptime}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_monitor_is_left_alone_until_it_is_resumed() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    user.until_status(&monitor, "up").await;

    // Another one, as often checked, tells how many slots have passed.
    let clock = Target::start().await;
    user.watch(&clock.url()).await;
    let slots_pass = async |slots: usize| {
        let until = clock.requests().len() + slots;
        eventually("slots pass", async || (clock.requests().len() >= until).then_some(())).await;
    };

    let paused = user.post(&format!("/api/v1/monitors/{monitor}/pause"), &json!({})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);
    assert_eq!(paused.body["status"], "paused");
    // A job that was emitted before the pause may be made yet; those of later slots must not be.
    slots_pass(2).await;
    let before = target.requests().len();
    slots_pass(3).await;
    assert_eq!(target.requests().len(), before);
    target.die();
    slots_pass(2).await;
    user.until_status(&monitor, "paused").await;

    target.come_back().await;
    let resumed = user.post(&format!("/api/v1/monitors/{monitor}/resume"), &json!({})).await;
    assert_eq!(resumed.status, StatusCode::OK, "{}", resumed.body);
    user.until_status(&monitor, "up").await;
    let events = user.events(&monitor).await;
    assert!(events.iter().all(|event| event["event_type"] != "WentDown"), "{events:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_organization_sees_nothing_of_another() {
    let corner = corner().await;
    let app = corner.start().await;
    let owner = User::sign_up(&app.url).await;
    let stranger = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = owner.watch(&target.url()).await;
    owner.until_status(&monitor, "up").await;

    let base = format!("/api/v1/monitors/{monitor}");
    for path in ["", "/checks", "/uptime?window=24h", "/events"] {
        let answer = stranger.get(&format!("{base}{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.body);
        assert_eq!(owner.get(&format!("{base}{path}")).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/pause", "/resume", "/check"] {
        let answer = stranger.post(&format!("{base}{path}"), &json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.body);
    }
    assert_eq!(stranger.get("/api/v1/monitors").await.body["items"], json!([]));

    let mut feed = stranger.live().await;
    feed.say(&json!({ "type": "subscribe", "monitors": [monitor] })).await;
    let refused = feed.next().await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("not_found")));
    feed.subscribe(json!("all"), Some(0)).await;
    let mut owners = owner.live().await;
    owners.subscribe(json!("all"), None).await;
    owners.until_event("CheckCompleted").await;
    // What the owner has been sent, the stranger would have by now.
    while let Some(message) = feed.next_within(Duration::from_millis(500)).await {
        assert_ne!(message["type"], "event", "{message}");
    }
    let anonymous = pulsetrail_harness::http_client();
    for path in ["/api/v1/monitors", "/api/v1/me", &base, "/api/v1/live"] {
        let answer = anonymous.get(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_comes_back_misses_nothing_and_gets_nothing_twice() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    let mut positions = Vec::new();
    for _ in 0..6 {
        let mut feed = user.live().await;
        feed.subscribe(json!([monitor]), Some(positions.last().copied().unwrap_or(0))).await;
        for _ in 0..3 {
            let message = loop {
                let message = feed.next().await;
                if message["type"] == "event" {
                    break message;
                }
            };
            positions.push(message["position"].as_i64().unwrap());
        }
    }
    let stored: Vec<i64> =
        user.events(&monitor).await.iter().map(|e| e["position"].as_i64().unwrap()).collect();
    assert_eq!(positions, stored[..positions.len()]);
    app.stop().await;
}

/// Reads Server-Sent Events until `count` of the log's have come, and returns their ids.
async fn listen(user: &User, last_seen: Option<i64>, count: usize) -> Vec<i64> {
    let mut request = user.request(reqwest::Method::GET, "/api/v1/live/sse");
    if let Some(last_seen) = last_seen {
        request = request.header("last-event-id", last_seen);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    loop {
        let ids: Vec<i64> = text
            .split_inclusive("\n\n")
            // What has a name is no event of a monitor.
            .filter(|block| block.ends_with("\n\n") && !block.contains("event: "))
            .filter_map(|block| block.lines().find_map(|line| line.strip_prefix("id: ")))
            .map(|id| id.parse().unwrap())
            .collect();
        if ids.len() >= count {
            return ids;
        }
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_server_sent_events_misses_nothing_when_it_comes_back() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    let mut ids = listen(&user, Some(0), 2).await;
    ids.extend(listen(&user, ids.last().copied(), 2).await);
    let stored: Vec<i64> =
        user.events(&monitor).await.iter().map(|e| e["position"].as_i64().unwrap()).collect();
    assert_eq!(ids, stored[..ids.len()]);
    // A stranger hears nothing of it, and a monitor that is not theirs is not there for them.
    let stranger = User::sign_up(&app.url).await;
    let refused = stranger.get(&format!("/api/v1/live/sse?monitors={monitor}")).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    app.stop().await;
}
