//! A tenant that orders all the harm it can, beside a victim whose checks must come in time.
//!
//! With `PULSETRAIL_SOAK` it takes 30 minutes, or as many seconds as `PULSETRAIL_HOSTILE_SECONDS` says, no slot may
//! be missing and the limits of time hold. Without, other tests run beside it on a machine of any speed: a slot may
//! be dropped then, and must be shown.

mod health;
mod monitors;
mod requests;
mod sockets;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use pulsetrail_domain::{MonitorId, timestamp_from_millis};
use pulsetrail_harness::{App, Behaviour, Corner, LoopbackTarget, Slots, User, is_soak, within};
use pulsetrail_infra::open_files;
use pulsetrail_infra::store::head;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::health::HealthPolls;
use crate::corner;
use crate::faults::SETTLING;
use crate::restart::children_of;

/// How much harm is ordered.
#[derive(Clone, Copy)]
struct Size {
    seconds: u64,
    /// Checks that the prober has under way at most.
    concurrency: usize,
    hanging: usize,
    slow: usize,
    every_second: usize,
    /// Connections that are opened and not read.
    unread: usize,
    /// Connections to the live feed that are not read.
    feeds: usize,
    /// Loops of each kind of request.
    loops: usize,
}

const SHORT: Size = Size {
    seconds: 24,
    concurrency: 100,
    hanging: 120,
    slow: 20,
    every_second: 30,
    unread: 50,
    feeds: 10,
    loops: 1,
};

const LONG: Size = Size {
    seconds: 30 * 60,
    concurrency: 1_000,
    hanging: 1_100,
    slow: 200,
    every_second: 5_000,
    unread: 1_000,
    feeds: 100,
    loops: 4,
};

impl Size {
    fn wanted() -> Self {
        let size = if is_soak() { LONG } else { SHORT };
        let seconds = std::env::var("PULSETRAIL_HOSTILE_SECONDS").ok();
        let seconds = seconds.map(|seconds| seconds.parse().expect("a number of seconds"));
        Self { seconds: seconds.unwrap_or(size.seconds), ..size }
    }
}

const VICTIMS: usize = 100;
const INTERVAL_MS: i64 = 5_000;
/// The host of half of the victim's monitors, and of the hostile tenant's that hang.
const SHARED_HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where the hostile tenant's requests come from.
const HOSTILE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 66, 6));
/// How long results may take until they are in the store. The hostile tenant's are in the same queue.
const RECORDED_WITHIN: Duration = Duration::from_secs(60);
const LOG: &str = "test.log";
/// What scheduler and prober log of slots that they drop.
const DROPPED: [&str; 2] = ["slots are dropped without a check", "checks were not made"];
const LATENESS_P99_MS: i64 = 1_000;
const HEALTH_ANSWER: Duration = Duration::from_secs(1);

/// What the hostile tenant has to hand.
#[derive(Clone)]
struct Hostile {
    user: User,
    target: Arc<LoopbackTarget>,
    stop: CancellationToken,
    done: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Hostile {
    /// Counts something that was done.
    fn note(&self, what: &'static str) {
        *self.done.lock().unwrap().entry(what).or_default() += 1;
    }

    /// Repeats something until the test is over, and counts how often it says that it was done.
    fn repeat<F>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut(Self, u64) -> F + Send + 'static,
    ) where
        F: Future<Output = bool> + Send,
    {
        let hostile = self.clone();
        let stop = self.stop.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            for number in 0.. {
                if attempt(hostile.clone(), number).await {
                    hostile.note(what);
                }
            }
        }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_tenant_costs_no_other_a_check() {
    // Both ends of its connections are this process's.
    open_files::raise_limit();
    let size = Size::wanted();
    let corner = corner().await;
    let app = start(&corner, size).await;
    let store = corner.store().await;
    // The first user runs the installation.
    let _operator = User::sign_up(&app.url).await;
    let victim = User::sign_up(&app.url).await;
    let target = LoopbackTarget::start().await;
    let monitors = register_victims(&victim, &target).await;
    let control = monitors[VICTIMS];
    let monitors = &monitors[..VICTIMS];

    let hostile = Hostile {
        user: User::sign_up(&app.url).await.from_address(HOSTILE_ADDRESS),
        target: Arc::new(LoopbackTarget::start().await),
        stop: CancellationToken::new(),
        done: Arc::default(),
    };
    let probers = children_of(app.pid());
    let health = HealthPolls::start(&app.url);
    monitors::register(&hostile, size).await;
    requests::retry_dead_letters(&hostile, &corner).await;
    requests::start(&hostile, size);
    sockets::start(&hostile, size);

    let from = head(&store.read).await.unwrap();
    let begin_ms = Utc::now().timestamp_millis();
    tokio::time::sleep(Duration::from_secs(size.seconds / 2)).await;
    let paused = victim.post(&format!("/api/v1/monitors/{control}/pause"), &json!({})).await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    tokio::time::sleep(Duration::from_secs(size.seconds / 2)).await;
    let window = begin_ms..Utc::now().timestamp_millis();

    let health = health.stop();
    let done = hostile.done.lock().unwrap().clone();
    hostile.stop.cancel();
    let slots =
        Slots::read(&store, from, monitors, INTERVAL_MS, window.clone(), RECORDED_WITHIN).await;
    // The control: a monitor that was paused lacks checks, and is found to.
    let of_control =
        Slots::read(&store, from, &[control], INTERVAL_MS, window.clone(), Duration::ZERO).await;
    report(&format!(
        "the victim: {} slots, {} missing, lateness p50 {} ms, p99 {} ms, latest {} ms\n\
         /healthz: {} answers, the slowest after {} ms\n\
         the hostile tenant: {} checks, {:?}\n",
        slots.due,
        slots.missing.len(),
        slots.lateness_ms(50),
        slots.lateness_ms(99),
        slots.lateness_ms(100),
        health.answers,
        health.slowest.as_millis(),
        hostile.target.requests(),
        done,
    ));
    if is_soak() {
        assert_eq!(slots.missing, [], "of {} slots", slots.due);
        assert!(slots.lateness_ms(99) <= LATENESS_P99_MS);
        assert!(health.slowest <= HEALTH_ANSWER);
    }
    assert!(slots.missing.len() * 2 < slots.due, "the victim's checks go on");
    assert!(!of_control.missing.is_empty(), "{of_control:?}");
    let missing = slots.missing.len() as u64;
    within(SETTLING, "/uptime shows what is missing, and no more", async || {
        let (expected, missed) = shown(&victim, control, &window).await?;
        (expected > 0 && missed == missing).then_some(())
    })
    .await;
    if missing > 0 {
        let log = std::fs::read_to_string(corner.data_dir.path().join(LOG)).unwrap();
        assert!(DROPPED.iter().any(|line| log.contains(line)), "{missing} slots are not told of");
    }
    assert_eq!(health.failures, Vec::<String>::new(), "of /healthz");
    assert_eq!(children_of(app.pid()), probers, "no prober was started again");
    // Every kind of harm was done.
    let idle: Vec<_> = requests::KINDS.iter().filter(|kind| !done.contains_key(*kind)).collect();
    assert!(idle.is_empty(), "{idle:?} of {done:?}");
    // Checks that hang are not waited for.
    app.kill().await;
}

/// How many checks of the victim's monitors the HTTP interface says were expected within `window`, and how
/// many missed; those of the control are left out.
async fn shown(victim: &User, control: MonitorId, window: &Range<i64>) -> Option<(u64, u64)> {
    let time = |ms: i64| timestamp_from_millis(ms).to_rfc3339_opts(SecondsFormat::Millis, true);
    let path = format!("/api/v1/uptime?from={}&to={}", time(window.start), time(window.end));
    let answer = victim.get(&path).await.body;
    let control = control.to_string();
    let monitors = answer["monitors"].as_array()?.iter();
    monitors.filter(|monitor| monitor["monitor_id"] != control.as_str()).try_fold(
        (0, 0),
        |(expected, missed), monitor| {
            let of = |field: &str| monitor[field].as_u64();
            Some((expected + of("checks_expected")?, missed + of("checks_missed")?))
        },
    )
}

/// Prints figures, also of a test that succeeds.
fn report(figures: &str) {
    // Without standard error the figures are lost, and nothing else.
    let _ = std::io::stderr().write_all(figures.as_bytes());
}

async fn start(corner: &Corner, size: Size) -> App {
    let mut command = corner.command(["up"]);
    command.env("PULSETRAIL_PROBER_CONCURRENCY", size.concurrency.to_string());
    // Nobody signs in again while it runs.
    command.env("PULSETRAIL_ACCESS_TOKEN_SECONDS", "86400");
    App::start(command, &corner.data_dir.path().join(LOG)).await
}

/// Registers the victim's monitors and one more, half of them at the shared host, and waits until all are
/// checked.
async fn register_victims(victim: &User, target: &LoopbackTarget) -> Vec<MonitorId> {
    let operation = |number: usize| {
        let host =
            if number.is_multiple_of(2) { SHARED_HOST } else { Ipv4Addr::new(127, 0, 77, 7) };
        json!({"action": "register", "monitor": {
            "url": target.url(host, Behaviour::Answer), "interval_seconds": INTERVAL_MS / 1_000, "timeout_ms": 4_000,
        }})
    };
    let operations: Vec<Value> = (0..=VICTIMS).map(operation).collect();
    let answer = victim.post("/api/v1/monitors/bulk", &json!({ "operations": operations })).await;
    assert_eq!(answer.body["succeeded"], VICTIMS + 1, "{}", answer.body);
    within(RECORDED_WITHIN, "every monitor of the victim is up", async || {
        let listed = victim.get("/api/v1/monitors?status=up&limit=200").await.body;
        (listed["items"].as_array()?.len() == VICTIMS + 1).then_some(())
    })
    .await;
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect()
}
