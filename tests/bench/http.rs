//! The HTTP interface from outside: `register_per_s` and `read_monitor_per_s` beside the same server
//! answering a constant, and `command_ms` at 200 a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pulsetrail_harness::{App, Corner, Target, User, engines};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::BINARY;
use crate::samples::Samples;
use crate::table::{Row, Table};

const WORKERS: usize = 16;
const FOR: Duration = Duration::from_secs(5);
const COMMANDS_PER_SECOND: u32 = 200;
const COMMANDS: u32 = 2_000;
/// Monitors that are paused and resumed in turn: each less often than every second, or all that is measured
/// would be the reading of long histories that nobody's monitors have.
const COMMANDED: usize = 1_000;
/// Requests before those that are measured: connections are opened, and Kafka's compiler is at work for the
/// first minute that it has any.
const WARM_UP: u32 = 8_000;
const CONSTANT: &str = "/healthz";

pub(crate) const FIGURES: [&str; 3] = ["register_per_s", "read_monitor_per_s", "command_ms"];

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let mut command = corner.command(["up"]);
    // One user measures what a server can do, and does not share it with others.
    for limit in ["SESSION_REQUESTS", "ORGANIZATION_READS", "ORGANIZATION_COMMANDS"] {
        command.env(format!("PULSETRAIL_{limit}_PER_MINUTE"), "10000000");
    }
    let app = App::start(command, &corner.data_dir.path().join("test.log")).await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    // A day between checks: what is measured is HTTP.
    let body = json!({ "url": target.url(), "interval_seconds": 86_400 });
    let path = format!("/api/v1/monitors/{}", register(&user, &body).await);

    let constant = per_second(&user, Method::GET, CONSTANT, None).await;
    if wanted("read_monitor_per_s") {
        let value = per_second(&user, Method::GET, &path, None).await;
        push(table, "read_monitor_per_s", value, constant);
    }
    if wanted("command_ms") {
        let monitors = register_many(&user, &body).await;
        let mut constants = paced(&user, |_| (Method::GET, CONSTANT.to_owned())).await;
        let mut commands = paced(&user, |number| {
            let monitor = &monitors[number as usize % monitors.len()];
            let paused = (number as usize / monitors.len()).is_multiple_of(2);
            let command = if paused { "pause" } else { "resume" };
            (Method::POST, format!("{monitor}/{command}"))
        })
        .await;
        let reference = format!("a constant at the same {COMMANDS_PER_SECOND} a second");
        commands.report(table, "command_ms", &reference, &mut constants, 1.0);
    }
    if wanted("register_per_s") {
        let value = per_second(&user, Method::POST, "/api/v1/monitors", Some(&body)).await;
        push(table, "register_per_s", value, constant);
    }
    app.stop().await;
}

fn push(table: &mut Table, name: &str, value: f64, constant: f64) {
    table.push(Row {
        name: name.to_owned(),
        value,
        unit: "/s",
        reference: format!("the same server answering a constant, {WORKERS} connections"),
        reference_value: constant,
    });
}

async fn register(user: &User, body: &Value) -> String {
    let answer = user.post("/api/v1/monitors", body).await;
    answer.body["id"].as_str().expect("a monitor").to_owned()
}

/// The paths of as many monitors.
async fn register_many(user: &User, body: &Value) -> Vec<String> {
    let operation = json!({ "action": "register", "monitor": body });
    let operations = json!({ "operations": vec![operation; COMMANDED] });
    let answer = user.post("/api/v1/monitors/bulk", &operations).await;
    let items = answer.body["items"].as_array().expect("results");
    let id = |item: &Value| item["id"].as_str().expect("a monitor").to_owned();
    items.iter().map(|item| format!("/api/v1/monitors/{}", id(item))).collect()
}

/// How many requests a second are answered, with each connection busy all the time.
async fn per_second(user: &User, method: Method, path: &str, body: Option<&Value>) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (user, method, path) = (user.clone(), method.clone(), path.to_owned());
        let (body, done) = (body.cloned(), Arc::clone(&done));
        workers.spawn(async move {
            while begun.elapsed() < FOR {
                let mut request = user.request(method.clone(), &path);
                if let Some(body) = &body {
                    request = request.json(body);
                }
                let answer = user.send(request).await;
                assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker ended");
    }
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// How long each request takes when they come at a steady rate, whether those before were answered or
/// not.
async fn paced(user: &User, request: impl Fn(u32) -> (Method, String)) -> Samples {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / COMMANDS_PER_SECOND);
    let mut under_way = JoinSet::new();
    for number in 0..WARM_UP + COMMANDS {
        clock.tick().await;
        let (user, (method, path)) = (user.clone(), request(number));
        under_way.spawn(async move {
            let begun = Instant::now();
            let answer = user.send(user.request(method, &path)).await;
            assert!(answer.status.is_success(), "{}: {}", answer.status, answer.body);
            (number, begun.elapsed())
        });
    }
    let mut samples = Samples::default();
    while let Some(ended) = under_way.join_next().await {
        let (number, took) = ended.expect("a request ended");
        if number >= WARM_UP {
            samples.add(took.as_secs_f64() * 1_000.0);
        }
    }
    samples
}
