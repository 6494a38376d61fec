//! Checks that somebody asked for.

use std::process::Stdio;

use pulsetrail_harness::{Target, User, eventually, until_ready};
use pulsetrail_infra::messages::Job;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;

use crate::corner;
use crate::queue::jobs::{self, schedule};

/// Jobs that lie before a prober; at 9 checks of a host and 0.3 s each, it has work for minutes.
const BACKLOG: i64 = 3_000;

/// A job for a monitor's check, with a check id of its own.
fn job(user: &User, monitor: &str, url: &str) -> Job {
    let organization_id = user.organization.parse().unwrap();
    Job { organization_id, ..jobs::job(monitor.parse().unwrap(), url) }
}

/// A monitor that the schedule leaves alone after its first check.
async fn monitor_of(user: &User, target: &Target) -> String {
    let body = json!({"url": target.url(), "interval_seconds": 86_400});
    let id = user.post("/api/v1/monitors", &body).await.body["id"].as_str().unwrap().to_owned();
    user.until_status(&id, "up").await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_on_demand_waits_behind_no_scheduled_job() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let [slow, quick, control] =
        [Target::start().await, Target::start().await, Target::start().await];
    let busy = monitor_of(&user, &slow).await;
    let asked = monitor_of(&user, &quick).await;
    // The control: the same check through the topic of the schedule waits for its turn.
    let waiting = monitor_of(&user, &control).await;
    let scheduled = control.requests().len();
    slow.delay(std::time::Duration::from_millis(300));
    let url = slow.url();
    schedule(&corner.kafka(), (0..BACKLOG).map(|_| job(&user, &busy, &url)));
    // Keys decide the partition: behind the backlog is only what has the same one.
    let behind = Job { monitor_id: busy.parse().unwrap(), ..job(&user, &waiting, &control.url()) };
    schedule(&corner.kafka(), [behind]);
    eventually("the prober has begun", async || (slow.requests().len() > 10).then_some(())).await;

    let check = format!("/api/v1/monitors/{asked}/check?wait=20s");
    let answer = user.post(&check, &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!((&answer.body["outcome"], &answer.body["http_status"]), (&json!("up"), &json!(200)));
    assert!(slow.requests().len() < BACKLOG as usize / 2, "the backlog is still there");
    assert_eq!(control.requests().len(), scheduled, "behind the backlog it waits");
    slow.delay(std::time::Duration::ZERO);
    eventually("its turn comes", async || (control.requests().len() > scheduled).then_some(()))
        .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_check_waits_for_its_result_at_any_server() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = monitor_of(&user, &target).await;
    // A port that was free a moment ago; nobody else on this machine asks for it by number.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut command = corner.command(["server"]);
    command.env("PULSETRAIL_LISTEN", free.to_string()).stderr(Stdio::null());
    let _other = command.spawn().unwrap();
    let other = format!("http://{free}");
    until_ready(&other).await;

    let mut feed = user.live().await;
    feed.subscribe(json!([monitor]), None).await;
    target.answer(500);
    let path = format!("/api/v1/monitors/{monitor}/check");
    let keyed = |user: &User, wait: &str| {
        user.request(Method::POST, &format!("{path}?wait={wait}"))
            .header("idempotency-key", "once")
            .json(&json!({}))
    };
    let there = user.at(&other);
    let waited = there.send(keyed(&there, "20s")).await;
    assert_eq!(waited.status, StatusCode::OK, "{}", waited.body);
    assert_eq!(waited.body["outcome"], "down");
    assert_eq!(waited.body["failure"]["cause"], "http_status_unexpected");
    let event = feed.until_event("CheckCompleted").await;
    assert_eq!(event["event"]["data"], waited.body);
    // Asked again with the key it is the same, made once, and the answer is there already.
    let requests = target.requests().len();
    let again = user.send(keyed(&user, "20s")).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &waited.body));
    assert_eq!(target.requests().len(), requests);
    // Who does not wait long enough is told where to look.
    let hurried = user.post(&format!("{path}?wait=0s"), &json!({})).await;
    assert_eq!(hurried.status, StatusCode::ACCEPTED, "{}", hurried.body);
    let event = feed.until_event("CheckCompleted").await;
    assert_eq!(event["event"]["data"]["check_id"], hurried.body["check_id"]);
    for wait in ["31s", "99999999999999999s", "18446744073709551615ms"] {
        let answer = user.post(&format!("{path}?wait={wait}"), &json!({})).await;
        assert_eq!(answer.status, 400, "{wait}");
    }
    // What was permitted when it was asked for first is answered to as it was then.
    user.post(&format!("/api/v1/monitors/{monitor}/pause"), &json!({})).await;
    let again = user.send(keyed(&user, "20s")).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &waited.body));
    assert_eq!(user.post(&path, &json!({})).await.status, StatusCode::CONFLICT);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_target_is_checked_at_once_and_another_change_waits_for_its_slot() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let [broken, good] = [Target::start().await, Target::start().await];
    broken.answer(500);
    let body = json!({"url": broken.url(), "interval_seconds": 86_400});
    let id = user.post("/api/v1/monitors", &body).await.body["id"].as_str().unwrap().to_owned();
    user.until_status(&id, "down").await;
    let path = format!("/api/v1/monitors/{id}");
    // The control: what leaves the target alone has nothing checked.
    let renamed = user.send(user.request(Method::PATCH, &path).json(&json!({"name": "a"}))).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.body);
    let before = broken.requests().len();
    let changed =
        user.send(user.request(Method::PATCH, &path).json(&json!({"url": good.url()}))).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    user.until_status(&id, "up").await;
    assert_eq!((good.requests().len(), broken.requests().len()), (1, before));
    app.stop().await;
}
