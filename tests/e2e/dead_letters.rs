//! Messages that are themselves at fault: set aside with their reason and origin, listed, shown, tried
//! again, and harming no other.

mod late;
mod retried;

use std::time::Duration;

use pulsetrail_domain::{MonitorId, OrganizationId, Region};
use pulsetrail_harness::{Corner, Target, User, eventually};
use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::FutureRecord;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::corner;
use crate::recording::{Results, first_slot_ms, quiet_monitor, recorded_slots, result_of};

/// What `pulsetrail dead-letters …` prints, and whether it succeeds.
async fn ask(corner: &Corner, arguments: &[&str]) -> (bool, String) {
    let output = corner.command([&["dead-letters"], arguments].concat()).output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// Every letter, as the command line lists them.
async fn every_letter(corner: &Corner) -> Vec<Value> {
    let (_, listed) = ask(corner, &["list", "--json"]).await;
    listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn until_letters(corner: &Corner, count: usize) -> Vec<Value> {
    eventually(&format!("{count} dead letters"), async || {
        let letters = every_letter(corner).await;
        assert!(letters.len() <= count, "{letters:#?}");
        (letters.len() == count).then_some(letters)
    })
    .await
}

/// Waits until a letter is as `is` wants it.
async fn until(corner: &Corner, id: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("the letter {id} is as it should be"), async || {
        let (_, shown) = ask(corner, &["show", id]).await;
        let letter = serde_json::from_str(&shown).unwrap();
        is(&letter).then_some(letter)
    })
    .await
}

fn of_reason<'a>(letters: &'a [Value], consumer: &str, reason: &str) -> &'a Value {
    let mut found = letters.iter().filter(|letter| letter["consumer"] == consumer);
    found.find(|letter| letter["reason"] == reason).unwrap()
}

fn id_of(letter: &Value) -> &str {
    letter["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_at_fault_are_kept_shown_and_tried_again_and_harm_no_other() {
    let corner = corner().await;
    let app = corner.start().await;
    // The first one runs the installation.
    let operator = User::sign_up(&app.url).await;
    let user = User::sign_up(&app.url).await;
    let stranger = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let strangers: OrganizationId = stranger.organization.parse().unwrap();
    let results = Results::of(&corner);
    let key = monitor.to_string();

    results.send_result(&result_of(monitor, organization, first_slot_ms())).await;
    results.send(&key, b"not JSON").await;
    // Postgres takes no NUL in a text, and a parser quotes what it does not know.
    let mut unknown_field =
        serde_json::to_value(result_of(monitor, organization, first_slot_ms())).unwrap();
    unknown_field["result"]["a\0b"] = json!(1);
    results.send(&key, unknown_field.to_string().as_bytes()).await;
    let mut no_attempt = result_of(monitor, organization, first_slot_ms() + 1_000);
    no_attempt.result.attempts = 0;
    results.send_result(&no_attempt).await;
    results.send_result(&result_of(MonitorId(Uuid::new_v4()), organization, first_slot_ms())).await;
    results.send_result(&result_of(monitor, strangers, first_slot_ms() + 2_000)).await;
    let mut distant = result_of(monitor, organization, first_slot_ms() + 3_000);
    distant.result.valid_for_ms = i64::MAX;
    results.send_result(&distant).await;
    results.send_result(&result_of(monitor, organization, first_slot_ms() + 4_000)).await;
    let kafka = corner.kafka();
    let producer = kafka.producer().unwrap();
    for topic in
        [kafka.topics.events(), kafka.topics.jobs(&Region::default()), kafka.topics.dead_letters()]
    {
        let record = FutureRecord::<str, [u8]>::to(&topic).partition(0).payload(b"\xff{");
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }

    let letters = until_letters(&corner, 9).await;
    let mut kinds: Vec<(&str, &str)> = letters
        .iter()
        .map(|one| (one["consumer"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    kinds.sort_unstable();
    let malformed = ("recorder", "malformed");
    assert_eq!(
        kinds,
        [
            ("dead-letters", "malformed"),
            ("follower", "malformed"),
            ("prober", "malformed"),
            malformed,
            malformed,
            malformed,
            malformed,
            ("recorder", "organization_mismatch"),
            ("recorder", "unknown_monitor"),
        ]
    );
    let job = of_reason(&letters, "prober", "malformed");
    assert_eq!(job["origin"]["topic"], kafka.topics.jobs(&Region::default()));
    assert_eq!(job["payload"], json!({ "base64": "/3s=" }));
    let not_json = letters.iter().find(|letter| letter["payload"] == "not JSON").unwrap();
    assert_eq!(not_json["origin"]["topic"], kafka.topics.results());
    assert_eq!((&not_json["key"], &not_json["status"]), (&json!(key), &json!("dead")));
    eventually("the good results around them are recorded", async || {
        (recorded_slots(&user, monitor).await.len() == 3).then_some(())
    })
    .await;

    an_organization_sees_its_own(&corner, &user, &stranger).await;
    a_retry_with_a_key_is_one(&corner, &user, &results, (monitor, organization)).await;
    let unowned = operator.get("/api/v1/dead-letters").await.body["items"].clone();
    let unowned = unowned.as_array().unwrap();
    assert_eq!(unowned.len(), 7, "{unowned:#?}");
    assert!(unowned.iter().all(|letter| letter["organization_id"].is_null()), "{unowned:#?}");
    what_fails_again_is_the_same_letter(&corner, &letters).await;
    the_topic_is_a_copy(&corner, &letters).await;
    app.stop().await;
}

/// Through the API: two letters are the user's, and nobody else's.
async fn an_organization_sees_its_own(corner: &Corner, user: &User, stranger: &User) {
    let first = user.get("/api/v1/dead-letters?limit=1").await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = user.get(&format!("/api/v1/dead-letters?limit=1&cursor={cursor}")).await;
    assert_eq!(second.body["next_cursor"], Value::Null, "{}", second.body);
    for page in [&first, &second] {
        let letter = &page.body["items"][0];
        assert_eq!(letter["organization_id"], user.organization, "{letter}");
        assert_eq!((&letter["reason"], &letter["failures"]), (&json!("malformed"), &json!(1)));
    }
    let id = id_of(&first.body["items"][0]);
    let path = format!("/api/v1/dead-letters/{id}");
    assert_eq!(stranger.get("/api/v1/dead-letters").await.body["items"], json!([]));
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);
    let refused = stranger.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.body);
    let retried = user.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!(retried.status, StatusCode::ACCEPTED, "{}", retried.body);
    assert!(retried.body["retried_by"].as_str().unwrap().starts_with("user:"), "{}", retried.body);
    // It is as malformed as before.
    let letter = until(corner, id, |letter| letter["failures"] == 2).await;
    assert_eq!((&letter["status"], letter["retried_at"].is_string()), (&json!("dead"), true));
    for path in ["/api/v1/dead-letters?cursor=x", "/api/v1/dead-letters?limit=0"] {
        assert_eq!(user.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

/// Asked for again with its key, a letter is not tried again; with another one it is.
async fn a_retry_with_a_key_is_one(
    corner: &Corner,
    user: &User,
    results: &Results,
    (monitor, organization): (MonitorId, OrganizationId),
) {
    let letters = user.get("/api/v1/dead-letters").await;
    let untouched =
        letters.body["items"].as_array().unwrap().iter().find(|one| one["failures"] == 1);
    let id = id_of(untouched.unwrap());
    let path = format!("/api/v1/dead-letters/{id}/retry");
    for key in ["k", "k", "l", "k"] {
        let request = user.request(Method::POST, &path).header("idempotency-key", key);
        let retried = user.send(request.json(&json!({}))).await;
        assert_eq!((retried.status, &retried.body["id"]), (StatusCode::ACCEPTED, &json!(id)));
    }
    // When a result that was sent after them is recorded, all that they led to has happened.
    let before = recorded_slots(user, monitor).await.len();
    results.send_result(&result_of(monitor, organization, first_slot_ms() + 5_000)).await;
    eventually("a later result is recorded", async || {
        (recorded_slots(user, monitor).await.len() > before).then_some(())
    })
    .await;
    let (_, shown) = ask(corner, &["show", id]).await;
    let letter: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(letter["failures"], 1 + 2, "{letter}");
}

/// Through the command line, of a prober that has no Postgres, and of a topic that nobody writes to.
async fn what_fails_again_is_the_same_letter(corner: &Corner, letters: &[Value]) {
    let job = id_of(of_reason(letters, "prober", "malformed"));
    for failures in [2, 3] {
        assert!(ask(corner, &["retry", job]).await.0);
        until(corner, job, |letter| letter["failures"] == failures).await;
    }
    let event = id_of(of_reason(letters, "follower", "malformed"));
    assert!(!ask(corner, &["retry", event]).await.0, "only the relay publishes events");
    assert!(!ask(corner, &["show", &Uuid::new_v4().to_string()]).await.0);
    assert_eq!(every_letter(corner).await.len(), letters.len());
}

async fn the_topic_is_a_copy(corner: &Corner, letters: &[Value]) {
    let kafka = corner.kafka();
    let consumer = kafka.group_consumer("test").unwrap();
    consumer.subscribe(&[&kafka.topics.dead_letters()]).unwrap();
    let mut missing: Vec<&str> = letters.iter().map(id_of).collect();
    while !missing.is_empty() {
        let message = tokio::time::timeout(Duration::from_secs(20), consumer.recv()).await;
        let message = message.expect("every letter is copied").unwrap();
        let copy: Value = serde_json::from_slice(message.payload().unwrap()).unwrap_or_default();
        missing.retain(|id| copy["id"] != *id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_postgres_refuses_again_and_again_is_set_aside_alone() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let organization: OrganizationId = user.organization.parse().unwrap();
    let store = corner.store().await;
    // Stands for whatever a later Postgres may object to in the values of one row.
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as $$
         begin raise exception 'this value is refused' using errcode = '22000'; end $$;
         create trigger refuse before insert on events for each row
             when (new.payload::text like '%418%') execute function refuse();",
    )
    .execute(&store.read)
    .await
    .unwrap();
    let results = Results::of(&corner);
    for slot in 0..20 {
        let mut result = result_of(monitor, organization, first_slot_ms() + slot * 1_000);
        if slot == 7 {
            result.result.http_status = Some(418);
        }
        results.send_result(&result).await;
    }
    let letters = until_letters(&corner, 1).await;
    assert_eq!(letters[0]["reason"], "refused_by_store");
    assert_eq!(letters[0]["organization_id"], user.organization);
    eventually("all the others are recorded", async || {
        (recorded_slots(&user, monitor).await.len() == 20).then_some(())
    })
    .await;
    // When the objection is gone, it is recorded.
    sqlx::raw_sql("drop trigger refuse on events").execute(&store.read).await.unwrap();
    assert!(ask(&corner, &["retry", id_of(&letters[0])]).await.0);
    until(&corner, id_of(&letters[0]), |letter| letter["status"] == "resolved").await;
    assert_eq!(recorded_slots(&user, monitor).await.len(), 21);
    app.stop().await;
}
