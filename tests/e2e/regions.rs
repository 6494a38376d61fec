//! Regions: several that vote, one that is cut off, and a monitor whose only one has no prober.

mod quorum;
mod vantage;

use std::collections::HashSet;
use std::time::Duration;

use pulsetrail_harness::{App, Corner, Target, User, eventually, within};
use reqwest::StatusCode;
use serde_json::{Value, json};

use self::quorum::{first_fault, without_ageing};
use self::vantage::{Vantage, prober_of};
use crate::corner;
use crate::faults::{SETTLING, judge};

/// Everything, with a prober for each of the regions.
async fn start(corner: &Corner, regions: &str) -> App {
    let mut command = corner.command(["up"]);
    command.env("PULSETRAIL_REGIONS", regions);
    App::start(command, &corner.data_dir.path().join("test.log")).await
}

/// Registers a monitor that is checked every second from the given regions.
async fn watch(user: &User, url: &str, regions: &[&str]) -> String {
    watch_every(1, user, url, regions).await
}

async fn watch_every(seconds: u32, user: &User, url: &str, regions: &[&str]) -> String {
    let body = json!({
        "url": url, "interval_seconds": seconds, "timeout_ms": 900, "regions": regions,
    });
    let answer = user.post("/api/v1/monitors", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

/// Waits until as many events of a type are in the log.
async fn until_events(user: &User, monitor: &str, kind: &str, count: usize) -> Vec<Value> {
    within(SETTLING, &format!("{count} {kind}"), async || {
        let events = user.events(monitor).await;
        let found = events.iter().filter(|event| event["event_type"] == kind).count();
        (found >= count).then_some(events)
    })
    .await
}

/// Waits until the newest result of a region is a failure.
async fn until_it_fails(user: &User, monitor: &str, region: &str) {
    within(SETTLING, &format!("{region} fails"), async || {
        let events = user.events(monitor).await;
        let newest = events.iter().rfind(|event| event["payload"]["region"] == region)?;
        (newest["payload"]["outcome"] == "down").then_some(())
    })
    .await;
}

async fn until_status(user: &User, monitor: &str, status: &str) {
    within(SETTLING, &format!("{monitor} is {status}"), async || {
        let answer = user.get(&format!("/api/v1/monitors/{monitor}")).await;
        (answer.body["status"] == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_follows_the_quorum_and_a_region_that_is_cut_off_stops_to_vote() {
    let corner = corner().await;
    let app = start(&corner, "ap,eu,us").await;
    let (ap, us) = (prober_of(app.pid(), "ap"), prober_of(app.pid(), "us"));
    let vantage = Vantage::start().await;
    let user = User::sign_up(&app.url).await;
    vantage.refuse(&[us.pid]);
    let monitor = watch(&user, &vantage.url(), &["ap", "eu", "us"]).await;
    until_status(&user, &monitor, "up").await;
    // One region, which is no quorum.
    until_it_fails(&user, &monitor, "us").await;

    vantage.refuse(&[us.pid, ap.pid]);
    until_it_fails(&user, &monitor, "ap").await;
    until_events(&user, &monitor, "WentDown", 1).await;
    // Cut off, its failing vote ages, and what is left is no quorum.
    ap.signal("-STOP");
    within(SETTLING, "the region that is cut off stops to vote", async || {
        let events = user.events(&monitor).await;
        first_fault(&without_ageing(&events), 2).map(drop)
    })
    .await;
    until_status(&user, &monitor, "up").await;
    ap.signal("-CONT");
    let events = until_events(&user, &monitor, "WentDown", 2).await;
    assert!(app.stop().await.success());

    assert_eq!(first_fault(&events, 2), None);
    let faults = judge::faults(&corner.store().await, &HashSet::new()).await;
    assert_eq!(faults, [], "replayed, the log leads to other decisions");
    // The control: the same results, had they not aged.
    let ageless = without_ageing(&events);
    assert!(first_fault(&ageless, 2).is_some(), "a vote that never ages was not noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_whose_only_region_has_no_prober_becomes_unknown_and_comes_back() {
    let corner = corner().await;
    let app = start(&corner, "default,far").await;
    let far = prober_of(app.pid(), "far");
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    // Its results count for minutes, so that a busy machine does not make it unknown.
    let near = watch_every(60, &user, &target.url(), &["default"]).await;
    let monitor = watch(&user, &target.url(), &["far"]).await;
    until_status(&user, &monitor, "up").await;

    far.signal("-STOP");
    let never_seen = watch(&user, &target.url(), &["far"]).await;
    for one in [&monitor, &never_seen] {
        until_status(&user, one, "unknown").await;
        let listed = user.get("/api/v1/monitors?status=unknown").await.body;
        let ids: Vec<&str> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|one| one["id"].as_str())
            .collect();
        assert!(ids.contains(&one.as_str()), "{listed}");
        assert!(!ids.contains(&near.as_str()), "{listed}");
    }
    feed.until_event("ObservationLost").await;
    // Until no job that still counts is of a slot before the loss: its result would close the gap.
    tokio::time::sleep(Duration::from_secs(3)).await;
    far.signal("-CONT");
    feed.until_event("ObservationRegained").await;
    for one in [&monitor, &never_seen, &near] {
        until_status(&user, one, "up").await;
    }

    let path = format!("/api/v1/monitors/{monitor}/uptime?window=24h");
    let uptime = eventually("the time without results is in the uptime", async || {
        let uptime = user.get(&path).await.body;
        let lost = user.events(&monitor).await;
        let lost_ms = lost.iter().filter_map(|event| event["payload"]["lost_for_ms"].as_f64());
        let lost_seconds = lost_ms.sum::<f64>() / 1_000.0;
        let registered = &lost[0]["recorded_at"];
        let age = seconds_between(registered, &uptime["to"]);
        // The first slot is the registration's time, so that all the rest is known, but for rounding.
        let known = uptime["up_seconds"].as_f64()? + uptime["down_seconds"].as_f64()?;
        (lost_seconds > 0.0 && known < age - lost_seconds + 0.01).then_some(uptime)
    })
    .await;
    assert_eq!(uptime["down_seconds"], 0.0, "{uptime}");
    let faults = judge::faults(&corner.store().await, &HashSet::new()).await;
    assert_eq!(faults, []);
    app.stop().await;
}

fn seconds_between(from: &Value, to: &Value) -> f64 {
    let time = |value: &Value| {
        chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().timestamp_micros()
    };
    (time(to) - time(from)) as f64 / 1e6
}
