//! Ends and new beginnings.

use std::fs;
use std::path::Path;
use std::process::Command;

use pulsetrail_harness::{Target, User, eventually};
use serde_json::json;

use crate::corner;

/// The processes whose parent is `parent`.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold spaces: the parent is the second field behind it.
        let parent_of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parent_of.and_then(|text| text.parse().ok()) == Some(parent)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_prober_is_replaced_and_a_killed_parent_leaves_no_child() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    user.until_status(&monitor, "up").await;

    let probers = children_of(app.pid());
    assert_eq!(probers.len(), 1, "{probers:?}");
    let killed = Command::new("kill").args(["-KILL", &probers[0].to_string()]).status();
    assert!(killed.unwrap().success());
    let checks = user.events(&monitor).await.len();
    eventually("another prober goes on", async || {
        let others = children_of(app.pid());
        let replaced = others.len() == 1 && others != probers;
        (replaced && user.events(&monitor).await.len() > checks + 1).then_some(())
    })
    .await;

    let prober = children_of(app.pid())[0];
    app.kill().await;
    eventually("the prober is gone", async || {
        (!Path::new(&format!("/proc/{prober}")).exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_the_history_is_there_and_the_checks_go_on() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = user.watch(&target.url()).await;
    user.until_status(&monitor, "up").await;
    assert!(app.stop().await.success());

    let app = corner.start().await;
    let user = user.at(&app.url);
    let before = user.events(&monitor).await;
    let newest = before.last().unwrap()["position"].as_i64().unwrap();
    let mut feed = user.live().await;
    feed.subscribe(json!([monitor]), Some(newest)).await;
    let next = feed.until_event("CheckCompleted").await;
    assert!(next["position"].as_i64().unwrap() > newest);

    // A crash instead of an orderly stop.
    app.kill().await;
    let app = corner.start().await;
    let user = user.at(&app.url);
    let after = user.events(&monitor).await;
    assert_eq!(after[..before.len()], before[..]);
    let path = format!("/api/v1/monitors/{monitor}/checks?limit=1000");
    eventually("every recorded check is in ClickHouse, once", async || {
        let events = user.events(&monitor).await;
        let recorded = events.iter().filter(|e| e["event_type"] == "CheckCompleted").count();
        let checks = user.get(&path).await.body["items"].as_array()?.len();
        // A check can be recorded between the two questions.
        (checks == recorded || checks == recorded + 1).then_some(())
    })
    .await;
    app.stop().await;
}
