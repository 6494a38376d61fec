//! What the shield refuses: answered to whoever asked, and kept in the organization's log.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use pulsetrail_harness::{User, eventually, within};
use pulsetrail_infra::messages::Job;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::corner;
use crate::faults::load::Load;
use crate::faults::{SETTLING, prepare};
use crate::queue::jobs::{job, schedule};

/// Where a target in the cloud would find its secrets.
const METADATA: &str = "http://169.254.169.254/latest/meta-data/";

/// A target on loopback that sends whoever asks to the cloud's metadata.
async fn redirecting() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let routes = Router::new().route("/", get(|| async { Redirect::temporary(METADATA) }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

/// Every refusal of the user's organization, newest first, read page by page.
async fn blocks(user: &User) -> Vec<Value> {
    let mut blocks = Vec::new();
    let mut path = "/api/v1/egress/blocks?limit=3".to_owned();
    loop {
        let answer = user.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        blocks.extend(answer.body["items"].as_array().unwrap().iter().cloned());
        match answer.body["next_cursor"].as_str() {
            Some(next) => path = format!("/api/v1/egress/blocks?limit=3&cursor={next}"),
            None => return blocks,
        }
    }
}

/// How often each range refused something, by the policy; those that never did are left out.
async fn counts(user: &User) -> BTreeMap<String, u64> {
    let policy = user.get("/api/v1/egress/policy").await.body;
    let ranges = policy["ranges"].as_array().unwrap();
    let rows = ranges
        .iter()
        .map(|row| (row["range"].as_str().unwrap().to_owned(), row["blocked"].as_u64().unwrap()));
    rows.filter(|(_, blocked)| *blocked > 0).collect()
}

fn tally(blocks: &[Value]) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for block in blocks {
        *tally.entry(block["range"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_registration_is_in_the_log_of_the_organization_and_of_no_other() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let monitors = "/api/v1/monitors";
    let refused = |status: u16, code: &str, body: &Value| {
        assert_eq!((status, &body["code"]), (422, &json!(code)), "{body}");
    };
    for (path, body) in [
        (monitors, json!({"url": "http://10.0.0.1/a?b=c#secret"})),
        // The interface itself, although loopback is let through.
        ("/api/websites", json!({"url": app.url})),
    ] {
        let answer = user.post(path, &body).await;
        refused(answer.status.as_u16(), "egress_blocked", &answer.body);
    }
    // With another mistake beside it, it is refused for both and kept all the same.
    let body = json!({"url": "http://[::1]/", "regions": ["mars"]});
    let answer = user.post(monitors, &body).await;
    refused(answer.status.as_u16(), "validation_failed", &answer.body);
    let register = |url: &str| json!({"action": "register", "monitor": {"url": url}});
    let operations =
        json!({"operations": [register("http://192.168.1.1"), register("https://example.com")]});
    let bulk = user.post("/api/v1/monitors/bulk", &operations).await.body;
    let first = &bulk["items"][0];
    assert_eq!(first["status"], 422, "{bulk}");
    refused(422, "egress_blocked", &first["problem"]);
    let monitor = bulk["items"][1]["id"].as_str().unwrap();
    let path = format!("{monitors}/{monitor}");
    let patch = user.request(Method::PATCH, &path).json(&json!({"url": METADATA}));
    let answer = user.send(patch).await;
    refused(answer.status.as_u16(), "egress_blocked", &answer.body);

    let blocks = blocks(&user).await;
    let told: Vec<[&str; 3]> = blocks
        .iter()
        .map(|block| ["url", "address", "range"].map(|field| block[field].as_str().unwrap()))
        .collect();
    let own = format!("{}/", app.url);
    assert_eq!(
        told,
        [
            [METADATA, "169.254.169.254", "169.254.169.254/32"],
            ["http://192.168.1.1/", "192.168.1.1", "192.168.0.0/16"],
            ["http://[::1]/", "::1", "::1/128"],
            [&own, "127.0.0.1", "pulsetrail"],
            ["http://10.0.0.1/a?b=c", "10.0.0.1", "10.0.0.0/8"],
        ]
    );
    let me = user.get("/api/v1/me").await.body;
    for (place, block) in blocks.iter().enumerate() {
        assert_eq!(block["origin"], "registration");
        assert_eq!(block["actor"], me["user"]["id"], "{me}");
        let led_by = if place == 0 { json!(monitor) } else { Value::Null };
        assert_eq!((&block["monitor_id"], &block["check_id"]), (&led_by, &Value::Null));
    }
    assert_eq!(counts(&user).await, tally(&blocks));
    let policy = user.get("/api/v1/egress/policy").await.body;
    assert_eq!(policy["allowed"], json!(["127.0.0.0/8"]));

    let stranger = User::sign_up(&app.url).await;
    assert_eq!(self::blocks(&stranger).await, Vec::<Value>::new());
    assert_eq!(counts(&stranger).await, BTreeMap::new());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_check_that_is_refused_is_in_the_log_once() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let mut body = json!({"url": redirecting().await, "interval_seconds": 1, "timeout_ms": 900});
    // A refusal is final: it is not tried again.
    body["retries"] = json!({"max_attempts": 3, "initial_backoff_ms": 1});
    let monitor = user.post("/api/v1/monitors", &body).await.body["id"].clone();
    let monitor = monitor.as_str().unwrap();
    eventually("three checks are refused", async || (blocks(&user).await.len() >= 3).then_some(()))
        .await;
    let pause = format!("/api/v1/monitors/{monitor}/pause");
    assert_eq!(user.post(&pause, &json!({})).await.status, 200);
    let checks = |events: Vec<Value>| -> Vec<Value> {
        let checks = events.into_iter().filter(|event| event["event_type"] == "CheckCompleted");
        checks.map(|mut event| event["payload"].take()).collect()
    };
    // What is under way when the monitor is paused comes to its end, in one transaction.
    let (checks, blocks) = eventually("as many refusals as checks", async || {
        let (events, blocks) = (user.events(monitor).await, blocks(&user).await);
        let checks = checks(events);
        (checks.len() == blocks.len()).then_some((checks, blocks))
    })
    .await;
    for (check, block) in checks.iter().rev().zip(&blocks) {
        assert_eq!((&check["outcome"], &check["attempts"]), (&json!("blocked"), &json!(1)));
        assert_eq!(block["check_id"], check["check_id"]);
        assert_eq!((&block["monitor_id"], &block["origin"]), (&json!(monitor), &json!("probe")));
        assert_eq!(
            (&block["url"], &block["address"]),
            (&json!(METADATA), &json!("169.254.169.254"))
        );
        assert_eq!(block["actor"], Value::Null);
    }
    assert_eq!(counts(&user).await, tally(&blocks));
    app.stop().await;
}

/// Checks that are refused at the same time.
const REFUSED: usize = 20_000;
/// Refusals that the log of an organization takes at once, and again within a minute.
const LOGGED_A_MINUTE: i64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_checks_is_counted_and_fills_no_log() {
    let corner = corner().await;
    prepare(&corner).await;
    let load = Load::new(&corner, 20).await;
    let store = corner.store().await;
    let roles = [
        corner.role("recorder").await.until_ready().await,
        corner.role("prober").await.until_ready().await,
    ];
    let begun = Instant::now();
    let jobs = (0..REFUSED).map(|number| {
        let monitor = load.monitors[number % load.monitors.len()];
        let url = format!("http://169.254.{}.{}/", number / 200 % 200, number % 200);
        Job { organization_id: load.organization, ..job(monitor, &url) }
    });
    schedule(&corner.kafka(), jobs);
    let number = async |query: &str| -> i64 {
        sqlx::query_scalar(query).fetch_one(&store.read).await.unwrap()
    };
    within(SETTLING, "all are recorded", async || {
        let recorded =
            number("select count(*) from events where event_type = 'CheckCompleted'").await;
        (recorded == REFUSED as i64).then_some(())
    })
    .await;
    let minutes = i64::try_from(begun.elapsed().as_secs() / 60 + 1).unwrap();
    let logged = number("select count(*) from events where event_type = 'EgressBlocked'").await;
    assert!((LOGGED_A_MINUTE..=LOGGED_A_MINUTE * (minutes + 1)).contains(&logged), "{logged}");
    let checks = number(
        "select count(distinct payload ->> 'check_id') from events where event_type = 'EgressBlocked'",
    )
    .await;
    assert_eq!(checks, logged, "each is of a check of its own");
    let counted = number("select sum(blocked)::bigint from egress_counts").await;
    assert_eq!(counted, REFUSED as i64, "each is counted once");
    let not_logged = "pulsetrail_egress_refusals_not_logged_total";
    assert_eq!(roles[0].metric(not_logged).await, (REFUSED as i64 - logged) as f64);
    assert!(roles[0].log().contains("refusals of checks were counted"));
    for role in roles {
        assert!(role.stop().await.success());
    }
}
