//! Many things at once, and things that are asked for again.

use pulsetrail_harness::{Answer, User};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Commands;
use crate::corner;

async fn with_key(user: &User, path: &str, key: &str, body: &Value) -> Answer {
    let request = user.request(Method::POST, path).header("idempotency-key", key);
    user.send(request.json(body)).await
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item["status"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_of_a_call_has_a_result_of_its_own() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let stranger = User::sign_up(&commands.url).await;
    let register = |url: &str| json!({"action": "register", "monitor": {"url": url}});
    let call = json!({"operations": [
        register("https://a.example"), register("ftp://b.example"), register("https://c.example"),
    ]});
    let first = user.post("/api/v1/monitors/bulk", &call).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    assert_eq!(statuses(&first), [201, 422, 201]);
    assert_eq!((&first.body["succeeded"], &first.body["failed"]), (&json!(2), &json!(1)));
    assert_eq!(first.body["items"][1]["problem"]["errors"][0]["pointer"], "/url");
    assert_eq!(first.body["items"][2]["monitor"]["target"]["url"], "https://c.example/");

    let (a, c) = (&first.body["items"][0]["id"], &first.body["items"][2]["id"]);
    let unknown = "0190b5a0-0000-7000-8000-000000000000";
    let call = json!({"operations": [
        {"action": "pause", "id": a}, {"action": "archive", "id": c},
        {"action": "resume", "id": unknown},
    ]});
    assert_eq!(statuses(&stranger.post("/api/v1/monitors/bulk", &call).await), [404, 404, 404]);
    let second = user.post("/api/v1/monitors/bulk", &call).await;
    assert_eq!(statuses(&second), [200, 204, 404]);
    assert_eq!(second.body["items"][0]["monitor"]["status"], "paused");
    let check = json!({"operations": [{"action": "check", "id": a}]});
    assert_eq!(statuses(&user.post("/api/v1/monitors/bulk", &check).await), [409]);
    let refused = json!({"operations": [], "organization_id": unknown});
    let refused = user.post("/api/v1/monitors/bulk", &refused).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_monitors_are_registered_once_however_often_the_call_is_sent() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let operations: Vec<Value> = (0..1_000)
        .map(|number| {
            let url = format!("https://example.com/{number}");
            json!({"action": "register", "monitor": {"url": url, "name": "n".repeat(200)}})
        })
        .collect();
    let call = json!({ "operations": operations });
    let first = with_key(&user, "/api/v1/monitors/bulk", "k", &call).await;
    assert_eq!(first.body["succeeded"], 1_000, "{}", first.body);
    let again = with_key(&user, "/api/v1/monitors/bulk", "k", &call).await;
    assert_eq!(again.body, first.body);
    assert_eq!(commands.events().await, 1_000);
    let other =
        json!({"operations": [{"action": "register", "monitor": {"url": "https://x.test"}}]});
    let other = with_key(&user, "/api/v1/monitors/bulk", "k", &other).await;
    assert_eq!(
        (other.status.as_u16(), &other.body["code"]),
        (422, &json!("idempotency_key_reused"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_is_sent_again_does_not_undo_a_resumption() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let answer = user.post("/api/v1/monitors", &json!({"url": "https://example.com"})).await;
    let path = format!("/api/v1/monitors/{}", answer.body["id"].as_str().unwrap());
    let pause = format!("{path}/pause");
    assert_eq!(with_key(&user, &pause, "k", &json!({})).await.body["version"], 2);
    assert_eq!(user.post(&format!("{path}/resume"), &json!({})).await.body["version"], 3);
    let again = with_key(&user, &pause, "k", &json!({})).await;
    assert_eq!((again.status.as_u16(), &again.body["version"]), (200, &json!(3)));
    assert_eq!(with_key(&user, &pause, "l", &json!({})).await.body["version"], 4);
    let more = user.post(&pause, &json!({"status": "up"})).await;
    assert_eq!(more.body["errors"][0]["pointer"], "/status", "{}", more.body);
}

/// Sent again, neither what was done nor what there was nothing to do for happens once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_sent_again_does_not_undo_what_others_did_since() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let new = async || {
        let answer = user.post("/api/v1/monitors", &json!({"url": "https://example.com"})).await;
        answer.body["id"].as_str().unwrap().to_owned()
    };
    let (running, paused) = (new().await, new().await);
    user.post(&format!("/api/v1/monitors/{paused}/pause"), &json!({})).await;
    let call = json!({"operations": [
        {"action": "pause", "id": running}, {"action": "pause", "id": paused},
    ]});
    let bulk = "/api/v1/monitors/bulk";
    let alone = format!("/api/v1/monitors/{paused}/pause");
    assert_eq!(statuses(&with_key(&user, bulk, "k", &call).await), [200, 200]);
    assert_eq!(with_key(&user, &alone, "k", &json!({})).await.status, StatusCode::OK);
    for id in [&running, &paused] {
        user.post(&format!("/api/v1/monitors/{id}/resume"), &json!({})).await;
    }
    let events = commands.events().await;
    let again = with_key(&user, bulk, "k", &call).await;
    assert_eq!(statuses(&again), [200, 200]);
    for item in again.body["items"].as_array().unwrap() {
        assert_eq!(item["monitor"]["status"], "pending", "{item}");
    }
    assert_eq!(with_key(&user, &alone, "k", &json!({})).await.body["status"], "pending");
    assert_eq!(commands.events().await, events);
    // Another key is another request.
    assert_eq!(
        with_key(&user, bulk, "l", &call).await.body["items"][0]["monitor"]["status"],
        "paused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_has_no_more_monitors_than_it_may() {
    let commands =
        Commands::with(&corner().await, |rules| rules.monitors_per_organization = 3).await;
    let user = User::sign_up(&commands.url).await;
    let body = json!({"url": "https://example.com"});
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = user.post("/api/v1/monitors", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        ids.push(answer.body["id"].as_str().unwrap().to_owned());
    }
    let full = user.post("/api/v1/monitors", &body).await;
    assert_eq!((full.status.as_u16(), &full.body["code"]), (403, &json!("monitor_limit_reached")));
    user.send(user.request(Method::DELETE, &format!("/api/v1/monitors/{}", ids[0]))).await;
    assert_eq!(user.post("/api/v1/monitors", &body).await.status, StatusCode::CREATED);
}

/// Whoever lost the answer asks again: a limit that was reached or a rule that changed since is none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_is_sent_again_with_its_key_counts_before_limits_and_rules() {
    let corner = corner().await;
    let commands = Commands::with(&corner, |rules| {
        rules.monitors_per_organization = 2;
        rules.egress.allow = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let user = User::sign_up(&commands.url).await;
    let (one, bulk) = ("/api/v1/monitors", "/api/v1/monitors/bulk");
    let body = json!({"url": "http://10.0.0.1/"});
    // Sent five times at once: whichever is stored is the one for all.
    let sent = (0..5).map(|_| with_key(&user, one, "once", &body));
    let answers = futures_util::future::join_all(sent).await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert_eq!(answer.body["id"], answers[0].body["id"]);
    }
    let call = json!({"operations": [{"action": "register", "monitor": body}]});
    let last = with_key(&user, bulk, "bulk", &call).await;
    assert_eq!(statuses(&last), [201]);
    // The limit is reached, for anything that is new.
    assert_eq!(user.post(one, &body).await.body["code"], "monitor_limit_reached");
    assert_eq!(with_key(&user, one, "other", &body).await.status, StatusCode::FORBIDDEN);
    assert_eq!(statuses(&with_key(&user, bulk, "other", &call).await), [403]);

    // Another server has become stricter meanwhile.
    let stricter = Commands::with(&corner, |rules| rules.monitors_per_organization = 2).await;
    let there = user.at(&stricter.url);
    for user in [&user, &there] {
        let again = with_key(user, one, "once", &body).await;
        assert_eq!((again.status, &again.body), (StatusCode::CREATED, &answers[0].body));
        assert_eq!(with_key(user, bulk, "bulk", &call).await.body, last.body);
    }
    assert_eq!(user.at(&stricter.url).post(one, &body).await.body["code"], "egress_blocked");
    assert_eq!(commands.events().await, 2);
    let reused = with_key(&user, one, "once", &json!({"url": "http://10.0.0.2/"})).await;
    assert_eq!(reused.body["code"], "idempotency_key_reused");
}
