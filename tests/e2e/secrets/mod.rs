//! The secrets of checks: the target gets them, and nobody else.

mod everywhere;
mod guarded;
mod planted;
mod talkative;

use std::collections::HashSet;

use pulsetrail_harness::{App, Corner, User, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::guarded::{Guarded, PASSWORD, Way};
use crate::corner;

const OLD_KEY: &str = "the-key-of-last-year-that-only-tests-know";

/// Starts the application with keys of a test's own.
async fn start(corner: &Corner, key: &str, previous: &str) -> App {
    let mut command = corner.command(["up"]);
    command.env("PULSETRAIL_SECRET_KEY", key).env("PULSETRAIL_SECRET_KEY_PREVIOUS", previous);
    App::start(command, &corner.data_dir.path().join("test.log")).await
}

/// Registers a monitor of a target, and returns its path.
async fn register(user: &User, target: &Value, interval_seconds: u32) -> String {
    let body = json!({"target": target, "interval_seconds": interval_seconds});
    let answer = user.post("/api/v1/monitors", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    format!("/api/v1/monitors/{}", answer.body["id"].as_str().unwrap())
}

async fn patch(user: &User, path: &str, target: &Value) -> Value {
    let request = user.request(Method::PATCH, path).json(&json!({ "target": target }));
    let answer = user.send(request).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.body
}

/// How a check of now ends, and with which cause where it is not up.
async fn check(user: &User, path: &str) -> (String, Value) {
    let asked = user.request(Method::POST, &format!("{path}/check?wait=15s"));
    let answer = user.send(asked).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let outcome = answer.body["outcome"].as_str().unwrap().to_owned();
    (outcome, answer.body["failure"]["cause"].clone())
}

async fn kept(corner: &Corner) -> i64 {
    let store = corner.store().await;
    sqlx::query_scalar("select count(*) from secrets").fetch_one(&store.read).await.unwrap()
}

fn up() -> (String, Value) {
    ("up".to_owned(), Value::Null)
}

fn down(cause: &str) -> (String, Value) {
    ("down".to_owned(), json!(cause))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_asks_who_asks_is_up_with_the_right_secret_alone() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    for way in [Way::Basic, Way::Bearer, Way::Header] {
        let target = Guarded::start(way).await;
        let path = register(&user, &target.described(PASSWORD), 3_600).await;
        user.until_status(path.rsplit('/').next().unwrap(), "up").await;
        assert_eq!(check(&user, &path).await, up(), "{way:?}");
        // What is read says that one is set, and may be sent back.
        let shown = user.get(&path).await;
        let reference = way.secret_in(&shown.body["target"]);
        assert!(reference["secret"].is_string(), "{}", shown.body);
        let again = patch(&user, &path, &shown.body["target"]).await;
        assert_eq!(again["version"], 1, "nothing has changed");
        let wrong = patch(&user, &path, &way.describe("another one")).await;
        assert_eq!(wrong["version"], 2);
        assert_ne!(&way.secret_in(&wrong["target"]), &reference);
        assert_eq!(check(&user, &path).await, down("http_status_unexpected"), "{way:?}");
        patch(&user, &path, &way.describe(PASSWORD)).await;
        assert_eq!(check(&user, &path).await, up(), "{way:?}");
        assert_eq!(kept(&corner).await, 1, "those that were replaced are gone");
        patch(&user, &path, &json!({"auth": null, "secret_headers": null})).await;
        assert_eq!(kept(&corner).await, 0);
        assert_eq!(check(&user, &path).await, down("http_status_unexpected"), "{way:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_can_be_replaced_and_without_it_no_secret_is_opened() {
    let corner = corner().await;
    let new_key = OLD_KEY.replace("last", "this");
    let target = Guarded::start(Way::Bearer).await;
    let app = start(&corner, OLD_KEY, "").await;
    let user = User::sign_up(&app.url).await;
    let path = register(&user, &target.described(PASSWORD), 1).await;
    let monitor = path.rsplit('/').next().unwrap().to_owned();
    user.until_status(&monitor, "up").await;
    assert!(app.stop().await.success());

    // The scheduler begins with what is in the store, and the prober opens it with the former key.
    let app = start(&corner, &new_key, OLD_KEY).await;
    let user = user.at(&app.url);
    let before = target.let_in();
    eventually("scheduled checks get in", async || (target.let_in() > before + 1).then_some(()))
        .await;
    assert_eq!(target.refused(), 0);
    assert!(app.stop().await.success());

    let app = start(&corner, &new_key, "").await;
    let user = user.at(&app.url);
    user.until_status(&monitor, "down").await;
    assert_eq!(check(&user, &path).await, down("secret_unavailable"));
    assert_eq!(target.refused(), 0, "it was not asked without");
    // Given again, it is sealed with the key of now.
    patch(&user, &path, &Way::Bearer.describe(PASSWORD)).await;
    assert_eq!(check(&user, &path).await, up());
    user.until_status(&monitor, "up").await;
    // And a row that is lost is told of.
    sqlx::query("delete from secrets").execute(&corner.store().await.write).await.unwrap();
    assert_eq!(check(&user, &path).await, down("secret_unavailable"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_is_made_of_a_version_whose_secret_is_gone() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Guarded::start(Way::Header).await;
    let mut paths = Vec::new();
    for _ in 0..10 {
        // Replaced at once, before the scheduler can have seen the first one.
        let path = register(&user, &target.described(PASSWORD), 1).await;
        for _ in 0..3 {
            patch(&user, &path, &Way::Header.describe(PASSWORD)).await;
        }
        assert_eq!(check(&user, &path).await, up());
        paths.push(path);
    }
    for path in &paths {
        user.until_status(path.rsplit('/').next().unwrap(), "up").await;
        // Analytics follow within a second or so.
        let checks = eventually("its checks are listed", async || {
            let checks = user.get(&format!("{path}/checks")).await.body;
            let checks = checks["items"].as_array().unwrap().clone();
            (!checks.is_empty()).then_some(checks)
        })
        .await;
        assert!(checks.iter().all(|one| one["outcome"] == "up"), "{checks:?}");
    }
    assert_eq!((target.refused(), kept(&corner).await), (0, 10));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_goes_with_its_monitor_and_to_no_other_origin_or_organization() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let stranger = User::sign_up(&app.url).await;
    let target = Guarded::start(Way::Basic).await;
    let path = register(&user, &target.described(PASSWORD), 3_600).await;
    let other = register(&user, &target.described(PASSWORD), 3_600).await;
    assert_eq!(kept(&corner).await, 2);
    let shown = user.get(&path).await.body["target"].clone();

    // Neither somebody else nor another monitor can use it by its reference.
    for who in [&user, &stranger] {
        let answer = who.post("/api/v1/monitors", &json!({ "target": shown })).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        assert_eq!(answer.body["errors"][0]["pointer"], "/target/auth/password");
    }
    // Who may change the monitor cannot have it sent elsewhere.
    let elsewhere = Guarded::start(Way::Basic).await;
    let moved = user.request(Method::PATCH, &path).json(&json!({"url": elsewhere.url()}));
    let moved = user.send(moved).await;
    assert_eq!(moved.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", moved.body);
    let with_secret = json!({"url": elsewhere.url(), "auth": {"password": PASSWORD}});
    patch(&user, &path, &with_secret).await;
    assert_eq!(check(&user, &path).await, up());
    // The change had it checked too.
    eventually("both checks", async || (elsewhere.let_in() == 2).then_some(())).await;
    assert_eq!(elsewhere.refused(), 0);

    let organizations: Vec<uuid::Uuid> = sqlx::query_scalar("select organization_id from secrets")
        .fetch_all(&corner.store().await.read)
        .await
        .unwrap();
    let organizations: HashSet<String> =
        organizations.into_iter().map(|one| one.to_string()).collect();
    assert_eq!(organizations, HashSet::from([user.organization.clone()]));
    user.send(user.request(Method::DELETE, &path)).await;
    assert_eq!(kept(&corner).await, 1);
    let both = json!({"operations": [{"action": "archive", "id": other.rsplit('/').next()}]});
    assert_eq!(user.post("/api/v1/monitors/bulk", &both).await.body["succeeded"], 1);
    assert_eq!(kept(&corner).await, 0);
    // Nor does one outlive the person whose it was.
    register(&stranger, &target.described(PASSWORD), 3_600).await;
    assert_eq!(kept(&corner).await, 1);
    let erase = stranger.request(Method::DELETE, "/api/v1/me");
    let erased = stranger.send(erase.json(&json!({"password": "correct horse battery"}))).await;
    assert!(erased.status.is_success(), "{} {}", erased.status, erased.body);
    assert_eq!(kept(&corner).await, 0);
    app.stop().await;
}
