//! Rows of the log that no writer of this program makes: every reader goes on behind them.

use pulsetrail_domain::Position;
use pulsetrail_harness::{Target, User, eventually};
use pulsetrail_infra::store::{read_after, read_page_of_type};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::corner;
use crate::recording::quiet_monitor;

/// What a direct insert can put into the log: times that no reader can represent, and payloads that are
/// JSON and no event.
const PLANTED: [(&str, &str, &str); 5] = [
    ("infinity", "MonitorPaused", "{}"),
    ("-infinity", "MonitorPaused", "{}"),
    ("294276-12-31T00:00:00Z", "MonitorResumed", "{}"),
    ("2026-01-01T00:00:00Z", "MonitorReconfigured", r#"{"config":7}"#),
    ("2026-01-01T00:00:00Z", "MonitorReconfigured", "null"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_of_the_log_goes_on_behind_a_row_that_is_no_event() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let organization: Uuid = user.organization.parse().unwrap();
    let store = corner.store().await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let mut planted = Vec::new();
    for (sequence, (recorded_at, event_type, payload)) in (1_i64..).zip(PLANTED) {
        let position: i64 = sqlx::query_scalar(
            "insert into events (aggregate_type, aggregate_id, sequence, organization_id, recorded_at,
                                 event_type, event_version, payload, metadata)
             values ('monitor', $1, $2, $3, $4::text::timestamptz, $5, '1.0', $6::text::json, '{}')
             returning position",
        )
        .bind(Uuid::from_u128(77).to_string())
        .bind(sequence)
        .bind(organization)
        .bind(recorded_at)
        .bind(event_type)
        .bind(payload)
        .fetch_one(&store.write)
        .await
        .unwrap();
        planted.push(position);
    }

    // The relay, the follower, the scheduler, the prober and the recorder: it is checked. The views: it
    // is listed. The live feed: its check is told of. The projector: its check is in ClickHouse.
    let monitor = quiet_monitor(&user, &target).await.to_string();
    loop {
        let event = feed.until_event("CheckCompleted").await;
        if event["monitor_id"] == monitor {
            break;
        }
    }
    eventually("its check is in ClickHouse", async || {
        let path = format!("/api/v1/monitors/{monitor}/checks");
        let answer = user.send(user.request(Method::GET, &path)).await;
        (!answer.body["items"].as_array()?.is_empty()).then_some(())
    })
    .await;
    let listed = user.get("/api/v1/monitors").await;
    assert!(listed.body["items"].as_array().unwrap().iter().any(|one| one["id"] == monitor));
    // A client that replays comes past them as well.
    let mut again = user.live().await;
    again.subscribe(json!("all"), Some(0)).await;
    loop {
        let event = again.until_event("CheckCompleted").await;
        if event["monitor_id"] == monitor {
            break;
        }
    }
    // The control: these rows do stand in the log, where each reader meets them.
    let met = read_after(&store.read, Position::START, 1_000).await.unwrap();
    let met: Vec<i64> = met.iter().map(|event| event.position.0).collect();
    assert!(planted.iter().all(|position| met.contains(position)));
    assert!(read_page_of_type(&store.read, "monitor", ("", 0), 1_000).await.is_ok());
    let unreadable = user.get("/api/v1/dead-letters").await.body["items"].clone();
    let consumers = |name: &str| {
        unreadable.as_array().unwrap().iter().filter(|letter| letter["consumer"] == name).count()
    };
    assert_eq!((consumers("projector"), consumers("scheduler")), (2, 2), "{unreadable:#}");
    app.stop().await;

    // Who starts with such a log comes past them, too.
    let app = corner.start().await;
    quiet_monitor(&user.at(&app.url), &target).await;
    app.stop().await;
}
