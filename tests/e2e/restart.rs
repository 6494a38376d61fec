//! Ends and new beginnings.

use pulsetrail_harness::{Target, User, eventually};
use serde_json::json;

use crate::corner;

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
