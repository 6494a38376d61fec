//! A secret is planted, used, sent back, dead-lettered and replaced, and then searched for everywhere.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pulsetrail_domain::Region;
use pulsetrail_harness::{App, Corner, User, eventually};
use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::FutureRecord;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::everywhere::{self, Needle, Page, page};
use super::talkative::talkative;
use crate::corner;

/// What must be found nowhere.
pub(super) const PLANTED: &str = "planted+s3cret/value?of&ada";
/// With the colon it has three bytes: the password's own base64 is then a part of that of both.
const USERNAME: &str = "xy";
/// What must be found: in an ordinary header, in a tag, and sent back by the target.
pub(super) const ORDINARY: &str = "ordinary-text-of-nobody";

/// A monitor of a path of the target.
fn monitor(url: &str, path: &str, auth: &Value) -> Value {
    json!({
        "name": format!("{ORDINARY}{path}"), "interval_seconds": 1, "timeout_ms": 900,
        "retries": {"max_attempts": 2, "initial_backoff_ms": 10, "max_backoff_ms": 20},
        "tags": {"kind": ORDINARY},
        "target": {
            "type": "http", "url": format!("{url}{path}"), "headers": {"X-Ordinary": ORDINARY},
            "auth": auth, "secret_headers": {"X-Planted": PLANTED},
            "assertions": [{"type": "body", "operator": "equals", "value": "ok"}],
        },
    })
}

/// The answers to a user, kept word by word.
struct Caller<'a> {
    user: &'a User,
    pages: Vec<Page>,
}

impl Caller<'_> {
    async fn send(&mut self, method: Method, path: &str, key: Option<&str>, body: &Value) -> Value {
        let mut request = self.user.request(method.clone(), path);
        if !body.is_null() {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.keep(format!("answer to {method} {path}"), request).await
    }

    async fn keep(&mut self, place: String, request: RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let headers = format!("{:?}", answer.headers());
        let text = answer.text().await.unwrap();
        self.pages.push(page("answers", place, format!("{headers}\n{text}")));
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn post(&mut self, path: &str, key: Option<&str>, body: &Value) -> Value {
        self.send(Method::POST, path, key, body).await
    }

    async fn get(&mut self, path: &str) -> Value {
        self.get_as(path, "*/*").await
    }

    async fn get_as(&mut self, path: &str, accept: &str) -> Value {
        let request = self.user.request(Method::GET, path).header("accept", accept);
        self.keep(format!("answer to GET {path}"), request).await
    }
}

/// Registers the monitors in every way that there is, and makes every mistake that one can make with a
/// secret. Returns the ids.
async fn register(caller: &mut Caller<'_>, url: &str) -> Vec<String> {
    let monitors = "/api/v1/monitors";
    let bearer = json!({"type": "bearer", "token": PLANTED});
    let basic = json!({"type": "basic", "username": USERNAME, "password": PLANTED});
    let id = |body: &Value| body["id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
    let echo = monitor(url, "/echo", &basic);
    let mut ids = vec![id(&caller.post(monitors, Some("once"), &echo).await)];
    // Again with the same key: the same, and another secret is another body.
    assert_eq!(id(&caller.post(monitors, Some("once"), &echo).await), ids[0]);
    let other = caller.post(monitors, Some("once"), &monitor(url, "/echo", &bearer)).await;
    assert_eq!(other["code"], "idempotency_key_reused");
    ids.push(id(&caller.post(monitors, None, &monitor(url, "/loop", &bearer)).await));
    let operations: Vec<Value> = ["/away", "/elsewhere"]
        .iter()
        .map(|path| json!({"action": "register", "monitor": monitor(url, path, &bearer)}))
        .collect();
    let bulk = json!({ "operations": operations });
    let many = caller.post("/api/v1/monitors/bulk", Some("many"), &bulk).await;
    ids.extend(many["items"].as_array().unwrap().iter().map(id));

    for auth in [
        json!(format!("Bearer {PLANTED}")),
        json!({"type": "bearer", "token": format!("{PLANTED}\u{7}")}),
        json!({"type": "bearer", "token": [PLANTED]}),
        json!({"type": "digest", "password": PLANTED}),
        json!({"type": PLANTED}),
    ] {
        let refused = caller.post(monitors, None, &monitor(url, "/no", &auth)).await;
        assert_eq!(refused["code"], "validation_failed", "{refused}");
    }
    let mut clear = monitor(url, "/no", &bearer);
    clear["target"]["headers"]["Authorization"] = json!(PLANTED);
    let refused = caller.post(monitors, None, &clear).await;
    assert_eq!(refused["code"], "validation_failed", "{refused}");
    let blocked = caller.post(monitors, None, &monitor("http://10.0.0.1", "/no", &bearer)).await;
    assert_eq!(blocked["code"], "egress_blocked");
    let path = format!("{monitors}/{}", ids[0]);
    let patch = json!({"target": {"auth": {"password": PLANTED}}});
    let patched = caller.send(Method::PATCH, &path, None, &patch).await;
    assert_eq!(patched["version"], 2, "{patched}");
    ids
}

/// Sends a job that there was, with its end cut off, so that it becomes a dead letter.
async fn break_a_job(corner: &Corner) {
    let (kafka, topic) = (corner.kafka(), corner.kafka().topics.jobs(&Region::default()));
    let consumer = kafka.group_consumer("breaker").unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let job = tokio::time::timeout(Duration::from_secs(20), consumer.recv()).await;
    let job = job.unwrap().unwrap().payload().unwrap().to_vec();
    let text = String::from_utf8(job.clone()).unwrap();
    assert!(text.contains("\"secrets\":{"), "{text}");
    let record = FutureRecord::<str, [u8]>::to(&topic).payload(&job[..job.len() - 1]);
    kafka.producer().unwrap().send(record, Duration::from_secs(10)).await.unwrap();
}

/// Waits until each check has ended as its path wants it, where the analytics have it too.
async fn until_checked(user: &User, ids: &[String]) {
    let causes = ["assertion_failed", "http_redirect_loop", "shield_refused", "http_redirect_loop"];
    for (id, cause) in ids.iter().zip(causes) {
        eventually(&format!("{id} has failed with {cause}"), async || {
            let checks = user.get(&format!("/api/v1/monitors/{id}/checks")).await.body;
            let newest = checks["items"][0].clone();
            (newest["failure"]["cause"] == cause).then_some(())
        })
        .await;
    }
}

/// Reads everything that the interface's document says can be read.
async fn read_all(caller: &mut Caller<'_>, ids: &[String]) {
    let document = caller.get("/api/openapi.json").await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        // The live feed has no end; what is heard there is looked at by itself.
        let Some(get) = methods.get("get").filter(|_| !path.contains("/live")) else { continue };
        let asks_for = |name: &str| {
            get["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["name"] == name))
        };
        let query = if asks_for("window") { "?window=24h" } else { "" };
        let ids = if path.contains("{id}") { ids } else { &ids[..1] };
        for id in ids {
            let path = path.replace("{id}", id).replace(['{', '}'], "");
            for accept in ["*/*", "application/x-ndjson"] {
                caller.get_as(&format!("{path}{query}"), accept).await;
            }
        }
    }
}

/// What a subscriber hears of the monitors from their beginning.
async fn hear(user: &User, ids: &[String]) -> Vec<Page> {
    let mut feed = user.live().await;
    feed.subscribe(json!(ids), Some(0)).await;
    let mut heard = String::new();
    loop {
        let message = feed.next().await;
        heard.push_str(&format!("{message}\n"));
        if message["type"] == "replayed" {
            return vec![page("feed", "live feed", heard)];
        }
    }
}

async fn letters(corner: &Corner) -> Vec<Page> {
    let ask = async |arguments: Vec<&str>| {
        let output = corner.command([vec!["dead-letters"], arguments].concat()).output().await;
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let listed = eventually("the job is a dead letter", async || {
        let listed = ask(vec!["list", "--json"]).await;
        (!listed.is_empty()).then_some(listed)
    })
    .await;
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let id = first["id"].as_str().unwrap();
    let shown = ask(vec!["show", id]).await;
    let retried = ask(vec!["retry", id]).await;
    vec![page("dead letters", "dead-letters", [listed, shown, retried].join("\n"))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_secret_is_found_nowhere() {
    let corner = corner().await;
    let mut command = corner.command(["up"]);
    // Everything is logged, and the key is the one that `up` makes.
    command.env("PULSETRAIL_LOG", "trace").env_remove("PULSETRAIL_SECRET_KEY");
    let app = App::start(command, &corner.data_dir.path().join("test.log")).await;
    let user = User::sign_up(&app.url).await;
    let url = talkative().await;
    let mut caller = Caller { user: &user, pages: Vec::new() };
    let ids = register(&mut caller, &url).await;
    until_checked(&user, &ids).await;
    break_a_job(&corner).await;
    let mut pages = letters(&corner).await;
    read_all(&mut caller, &ids).await;
    pages.append(&mut caller.pages);
    pages.extend(hear(&user, &ids).await);
    let ordinary = Needle::of(ORDINARY);
    let analytics = eventually("the analytics have the checks", async || {
        let pages = everywhere::clickhouse(&corner).await;
        (!ordinary.places(&pages).is_empty()).then_some(pages)
    })
    .await;
    pages.extend(analytics);
    pages.extend(everywhere::kafka(&corner).await);
    pages.extend(everywhere::postgres(&corner).await);
    let replaced = json!({"target": {"auth": null, "secret_headers": null}});
    let path = format!("/api/v1/monitors/{}", ids[0]);
    caller.send(Method::PATCH, &path, None, &replaced).await;
    caller.send(Method::DELETE, &path, None, &Value::Null).await;
    pages.append(&mut caller.pages);
    assert!(app.stop().await.success());
    // What its roles and children logged, and whatever else lies in the data directory.
    pages.extend(everywhere::files("files", corner.data_dir.path()));

    let found = Needle::of(PLANTED).places(&pages);
    assert!(found.is_empty(), "the secret is in {found:#?}");
    // The first part of it, should the whole have been cut.
    let found = Needle::of(&PLANTED[..12]).places(&pages);
    assert!(found.is_empty(), "a part of the secret is in {found:#?}");

    // The search finds what is no secret, in every kind of place, and what was sealed where it belongs.
    let kinds = ["answers", "clickhouse", "dead letters", "feed", "files", "kafka", "postgres"];
    assert_eq!(ordinary.kinds(&pages), BTreeSet::from(kinds));
    let hidden = Needle::of("[secret]").kinds(&pages);
    assert!(hidden.is_superset(&BTreeSet::from(["answers", "clickhouse", "kafka", "feed"])));
    let places = ordinary.places(&pages);
    for place in [
        "postgres public.events",
        "postgres public.dead_letters",
        "answer to GET /api/v1/monitors",
        "/checks",
        "/events",
        "test.log",
        "prober-default.log",
    ] {
        assert!(places.iter().any(|one| one.ends_with(place)), "{place} in {places:#?}");
    }
    for topic in ["events", "jobs.default", "results", "dead-letters"] {
        let topic = format!("kafka {}.{topic} ", corner.name);
        assert!(places.iter().any(|one| one.starts_with(&topic)), "{topic} in {places:#?}");
    }
}

#[test]
fn control_the_search_finds_every_form() {
    let basic = STANDARD.encode(format!("{USERNAME}:{PLANTED}"));
    for form in [
        PLANTED.to_owned(),
        STANDARD.encode(PLANTED),
        basic,
        utf8_percent_encode(PLANTED, NON_ALPHANUMERIC).to_string(),
        PLANTED.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        let pages = [page("postgres", "somewhere", format!("before {form} after"))];
        assert_eq!(Needle::of(PLANTED).places(&pages), ["somewhere"], "{form}");
    }
    let clean = [page("postgres", "somewhere", "before [secret] after")];
    assert_eq!(Needle::of(PLANTED).places(&clean), [""; 0]);
}
