//! The queue of jobs when those who work on it, or Kafka itself, go away.

mod crowd;
mod dropped;
mod handed_over;
pub(crate) mod jobs;
mod limits;
mod refused;
mod tenants;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use pulsetrail_domain::Region;
use pulsetrail_harness::{Corner, PATIENCE, Target, User, eventually, within};
use pulsetrail_infra::engines::{Engine, EngineSettings, EngineUrls, start};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use serde_json::{Value, json};

use crate::corner;

/// Registers monitors of paths of a target's own, and returns their ids by path.
async fn register(
    user: &User,
    target: &Target,
    count: usize,
    seconds: u32,
) -> BTreeMap<String, String> {
    let operations: Vec<Value> = (0..count)
        .map(|number| {
            let monitor = json!({"url": format!("{}{number}", target.url()),
                "interval_seconds": seconds, "timeout_ms": 4_000});
            json!({"action": "register", "monitor": monitor})
        })
        .collect();
    let answer = user.post("/api/v1/monitors/bulk", &json!({"operations": operations})).await;
    let results = answer.body["items"].as_array().unwrap();
    let id = |result: &Value| result["id"].as_str().unwrap().to_owned();
    results.iter().enumerate().map(|(number, result)| (format!("/{number}"), id(result))).collect()
}

/// When a monitor was registered, and the slots of its results, in ms since the epoch.
async fn slots(user: &User, monitor: &str) -> (i64, Vec<i64>) {
    let ms = |time: &Value| {
        let time = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
        time.timestamp_millis()
    };
    let events = user.events(monitor).await;
    let checks = events.iter().filter(|event| event["event_type"] == "CheckCompleted");
    let slots = checks.map(|event| ms(&event["payload"]["scheduled_at"])).collect();
    (ms(&events[0]["recorded_at"]), slots)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jobs_of_a_killed_prober_are_made_by_another() {
    let corner = corner().await;
    assert!(corner.command(["migrate"]).output().await.unwrap().status.success());
    let server = corner.role("server").await.until_ready().await;
    let _others = [
        corner.role("relay").await.until_ready().await,
        corner.role("recorder").await.until_ready().await,
        corner.role("scheduler").await.until_ready().await,
    ];
    let doomed = corner.role("prober").await.until_ready().await;
    let _survivor = corner.role("prober").await.until_ready().await;
    let user = User::sign_up(&server.url).await;
    let target = Target::start().await;
    // Slow enough that the one who dies has some under way and others before it.
    target.delay(Duration::from_secs(2));
    let monitors = register(&user, &target, 60, 86_400).await;
    eventually("checks are under way", async || (target.requests().len() >= 12).then_some(()))
        .await;
    doomed.kill().await;
    target.delay(Duration::ZERO);
    let with_result = async || {
        let mut made = 0;
        for monitor in monitors.values() {
            made += usize::from(!slots(&user, monitor).await.1.is_empty());
        }
        made
    };
    assert!(with_result().await < monitors.len(), "it died with work undone");
    within(3 * PATIENCE, "every monitor has its first result", async || {
        (with_result().await == monitors.len()).then_some(())
    })
    .await;
    for monitor in monitors.values() {
        let (registered, slots) = slots(&user, monitor).await;
        assert_eq!(slots, [registered], "one result of the first slot, and of no other");
    }
}

/// Seconds between two checks of each monitor, and so the length of the windows in which they are counted.
const INTERVAL: u32 = 4;
const MONITORS: usize = 120;

/// How long Kafka is away.
fn outage() -> Duration {
    Duration::from_secs(if std::env::var_os("PULSETRAIL_SOAK").is_some() { 60 } else { 12 })
}

/// The most requests in any window of one interval that begins at or after a moment; normal is one of
/// each monitor.
fn most_in_an_interval(requests: &[SystemTime], after: SystemTime) -> usize {
    let since: Vec<&SystemTime> = requests.iter().filter(|at| **at >= after).collect();
    let window = Duration::from_secs(u64::from(INTERVAL));
    let within = |begin: &SystemTime| {
        since.iter().filter(|at| ***at >= *begin && ***at < *begin + window).count()
    };
    since.iter().map(|begin| within(begin)).max().unwrap_or_default()
}

/// A prober that drops nothing: makes each job as soon as it comes, and notes when.
async fn reckless(
    consumer: StreamConsumer,
    made: std::sync::Arc<std::sync::Mutex<Vec<SystemTime>>>,
) {
    loop {
        match consumer.recv().await {
            Ok(message) if message.payload().is_some() => {
                made.lock().unwrap().push(SystemTime::now())
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_comes_back_to_no_herd() {
    let shared = corner().await;
    // Engines of the test's own, of which one is taken away.
    let folder = tempfile::tempdir().unwrap();
    let settings = EngineSettings {
        database_url: Some(shared.urls.database_url.clone()),
        clickhouse_url: Some(shared.urls.clickhouse_url.clone()),
        ..EngineSettings::default()
    };
    let engines = start(&settings, folder.path(), |_| {}).await.unwrap();
    let kafka_brokers = engines.urls().kafka_brokers.clone();
    let urls = EngineUrls { kafka_brokers, ..shared.urls.clone() };
    let corner = Corner::new(&urls, env!("CARGO_BIN_EXE_pulsetrail")).await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitors = register(&user, &target, MONITORS, INTERVAL).await;

    // The control: the same jobs, without dropping any.
    let made = std::sync::Arc::default();
    let consumer = corner.kafka().group_consumer("reckless").unwrap();
    consumer.subscribe(&[&corner.kafka().topics.jobs(&Region::default())]).unwrap();
    let control = tokio::spawn(reckless(consumer, std::sync::Arc::clone(&made)));
    eventually("the schedule is known", async || {
        (target.requests().len() > 4 * MONITORS).then_some(())
    })
    .await;

    let kafka = engines.child(Engine::Kafka).unwrap().pid().unwrap().to_string();
    let signal = |name: &str| std::process::Command::new("kill").args([name, &kafka]).status();
    assert!(signal("-STOP").unwrap().success());
    let away = tokio::time::Instant::now();
    within(2 * outage(), "Kafka was away", async || (away.elapsed() >= outage()).then_some(()))
        .await;
    let back = SystemTime::now();
    let before = target.requests().len();
    assert!(signal("-CONT").unwrap().success());
    within(3 * PATIENCE, "checks are made again", async || {
        (target.requests().len() > before + 4 * MONITORS).then_some(())
    })
    .await;

    let (most, normal) = (most_in_an_interval(&target.requests(), back), MONITORS as f64);
    // A monitor's late check and its punctual one.
    assert!(most as f64 <= 2.1 * normal, "{most} checks in an interval, {normal} are normal");
    let herd = most_in_an_interval(&made.lock().unwrap(), back);
    assert!(herd as f64 > 2.5 * normal, "without dropping, the herd is seen: {herd}");
    control.abort();

    // Each request has a result of a slot of its own: none was made twice for one. Between two checks of
    // a monitor their numbers are the same.
    for (path, monitor) in &monitors {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let requests = target.paths().iter().filter(|one| *one == path).count();
            let (_, slots) = slots(&user, monitor).await;
            assert_eq!(slots.iter().collect::<BTreeSet<_>>().len(), slots.len(), "{monitor}");
            if slots.len() == requests {
                break;
            }
            let seen = (requests, slots.len());
            assert!(tokio::time::Instant::now() < deadline, "requests and results: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    app.stop().await;
    engines.stop().await;
}
