//! What people say about times of a monitor changes its uptime at once, and can be taken back.

use pulsetrail_domain::Timestamp;
use pulsetrail_harness::{Target, User, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::corner;

fn seconds(uptime: &Value, field: &str) -> f64 {
    uptime[field].as_f64().unwrap_or_else(|| panic!("no {field} in {uptime}"))
}

/// How many annotations of a monitor stand.
async fn count(user: &User, monitor: &str) -> usize {
    let page = user.get(&format!("/api/v1/monitors/{monitor}/annotations")).await;
    page.body["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_annotation_changes_the_past_at_once_and_what_was_known_before_stays() {
    let corner = corner().await;
    let app = corner.start().await;
    let (user, stranger) = (User::sign_up(&app.url).await, User::sign_up(&app.url).await);
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    user.until_status(&monitor, "up").await;
    target.die();
    user.until_status(&monitor, "down").await;
    target.come_back().await;
    user.until_status(&monitor, "up").await;
    // Nothing more happens to it.
    let paused = user.post(&format!("/api/v1/monitors/{monitor}/pause"), &json!({})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);

    // A window around the outage, which does not move.
    let outages = format!("/api/v1/monitors/{monitor}/outages");
    let outage = eventually("the outage is in the analytics, and over", async || {
        let page = user.get(&outages).await.body;
        let outage = page["items"][0].clone();
        (!outage["ended_at"].is_null()).then_some(outage)
    })
    .await;
    let time = |field: &str| outage[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    let (started_at, ended_at) = (time("started_at"), time("ended_at"));
    let margin = chrono::Duration::milliseconds(200);
    let text = |time: Timestamp| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let (from, to) = (started_at - margin, ended_at + margin);
    let window = format!("from={}&to={}", text(from), text(to));
    let path = format!("/api/v1/monitors/{monitor}/uptime?{window}");
    let before = eventually("the window is over and known", async || {
        let uptime = user.get(&path).await.body;
        (uptime["to"].as_str()?.parse::<Timestamp>().ok()? == to
            && uptime["unknown_seconds"] == 0.0)
            .then_some(uptime)
    })
    .await;
    let down = seconds(&before, "down_seconds");
    assert!(down > 0.0 && before["outages"] == 1, "{before}");
    let known_before = text(chrono::Utc::now());

    // A dry run stores nothing.
    let annotations = format!("/api/v1/monitors/{monitor}/annotations");
    let body = |kind: &str| json!({"from": text(from), "to": text(to), "kind": kind, "note": "a"});
    let dry = user.post(&format!("{annotations}?dry_run=true"), &body("false_alarm")).await;
    assert_eq!(dry.status, StatusCode::OK, "{}", dry.body);
    let (without, with) = (&dry.body["before"], &dry.body["after"]);
    assert!((seconds(without, "down_seconds") - down).abs() < 1e-6, "{}", dry.body);
    assert_eq!((seconds(with, "down_seconds"), &with["outages"]), (0.0, &json!(0)));
    assert_eq!(with["uptime_percent"], "100.000");
    assert_eq!(count(&user, &monitor).await, 0);

    // A false alarm counts as up. Sent again with its key it is the same one.
    let key = || user.request(Method::POST, &annotations).header("Idempotency-Key", "once");
    let made = user.send(key().json(&body("false_alarm"))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let after = user.get(&path).await.body;
    assert_eq!((seconds(&after, "down_seconds"), &after["outages"]), (0.0, &json!(0)), "{after}");
    assert_eq!(after["uptime_percent"], "100.000");
    let listed = user.get(&outages).await.body;
    let mut listed = listed["items"].as_array().unwrap().iter();
    assert!(listed.all(|one| one["started_at"] != outage["started_at"]), "{outage}");
    let again = user.send(key().json(&body("false_alarm"))).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &made.body));
    let other = user.send(key().json(&body("note"))).await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency_key_reused"),)
    );
    assert_eq!(count(&user, &monitor).await, 1);

    // Maintenance over a part of it comes first.
    let middle = started_at + (ended_at - started_at) / 2;
    let half = json!({"from": text(started_at), "to": text(middle), "kind": "maintenance"});
    let maintenance = user.post(&annotations, &half).await;
    assert_eq!(maintenance.status, StatusCode::CREATED, "{}", maintenance.body);
    let corrected = user.get(&path).await.body;
    let excluded = (middle - started_at).num_microseconds().unwrap() as f64 / 1e6;
    assert_eq!(seconds(&corrected, "excluded_seconds"), excluded);
    assert_eq!(seconds(&corrected, "down_seconds"), 0.0);
    assert_eq!(corrected["coverage"], 1.0);
    let organization = user.get(&format!("/api/v1/uptime?{window}")).await.body;
    assert_eq!(organization["excluded_seconds"], corrected["excluded_seconds"]);

    // As it was known before, nothing was said; the position says up to where.
    let as_of = eventually("the analytics have reached the annotations", async || {
        let uptime = user.get(&format!("{path}&as_of={known_before}")).await.body;
        (uptime["position"].as_i64()? >= before["position"].as_i64()?).then_some(uptime)
    })
    .await;
    assert_eq!(as_of["down_seconds"], before["down_seconds"], "{as_of}");
    assert!(as_of["position"].as_i64() < made.body["position"].as_i64(), "{as_of}");

    // Taken back, both: as if nothing had been said.
    for annotation in [&made.body, &maintenance.body] {
        let one = format!("{annotations}/{}", annotation["id"].as_str().unwrap());
        let request = || user.request(Method::DELETE, &one);
        let theirs = stranger.send(stranger.request(Method::DELETE, &one)).await;
        assert_eq!(theirs.status, StatusCode::NOT_FOUND);
        assert_eq!(user.send(request()).await.status, StatusCode::NO_CONTENT);
        assert_eq!(user.send(request()).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(count(&user, &monitor).await, 0);
    let restored = user.get(&path).await.body;
    for field in ["up_seconds", "down_seconds", "excluded_seconds", "outages", "uptime_percent"] {
        assert_eq!(restored[field], before[field], "{field}");
    }

    // What is not valid, and what is not theirs.
    let backwards = json!({"from": text(to), "to": text(from), "kind": "note"});
    let refused = user.post(&annotations, &backwards).await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]["pointer"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("/to"),)
    );
    assert_eq!(stranger.post(&annotations, &body("note")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(&annotations).await.status, StatusCode::NOT_FOUND);
    assert!(app.stop().await.success());
}
