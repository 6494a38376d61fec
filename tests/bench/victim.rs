//! `victim_lateness_ms_p99_…`: how late the checks of one tenant start after their slots while another
//! tenant does harm, beside the same without the other, measured just before.

use std::net::Ipv4Addr;
use std::time::Duration;

use chrono::Utc;
use pulsetrail_domain::MonitorId;
use pulsetrail_harness::{
    App, Behaviour, Corner, LoopbackTarget, Slots, User, engines, eventually, is_soak,
};
use pulsetrail_infra::store::{Store, head};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::BINARY;
use crate::table::{Row, Table};

pub(crate) const FIGURES: [&str; 5] = [
    "victim_lateness",
    "victim_lateness_ms_p99_hanging",
    "victim_lateness_ms_p99_slow",
    "victim_lateness_ms_p99_every_second",
    "victim_lateness_ms_p99_commands",
];

const MONITORS: usize = 100;
const INTERVAL_MS: i64 = 5_000;
/// How long the other tenant's monitors are left alone after they were registered or archived.
const SETTLING: Duration = Duration::from_secs(15);
/// How long the last results of a window may take.
const REST: Duration = Duration::from_secs(30);
/// Connections of a flood of commands.
const CONNECTIONS: usize = 16;
/// The host of the victim's targets.
const VICTIM_HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What the other tenant does.
#[derive(Clone, Copy)]
enum Harm {
    /// 1,130 monitors of targets that never answer, 30 of them at the victim's host.
    Hanging,
    /// 1,000 monitors of targets that answer after 4 s, every 5 s.
    Slow,
    /// 5,000 monitors that are checked every second.
    EverySecond,
    /// Commands, as many as are answered, and every second one refused.
    Commands,
}

struct Bench {
    store: Store,
    victim: User,
    hostile: User,
    monitors: Vec<MonitorId>,
    target: LoopbackTarget,
}

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let mut command = corner.command(["up"]);
    // Nobody signs in again while it runs.
    command.env("PULSETRAIL_ACCESS_TOKEN_SECONDS", "86400");
    let app = App::start(command, &corner.data_dir.path().join("bench.log")).await;
    let target = LoopbackTarget::start().await;
    let victim = User::sign_up(&app.url).await;
    let hostile = User::sign_up(&app.url).await;
    let url = target.url(VICTIM_HOST, Behaviour::Answer);
    let monitors = register(&victim, &vec![monitor(url, 5, 4_000); MONITORS]).await;
    let monitors = monitors.iter().map(|id| id.parse().expect("an id")).collect();
    let bench = Bench { store: corner.store().await, victim, hostile, monitors, target };
    bench.until_checked().await;
    for (name, harm, what) in [
        ("hanging", Harm::Hanging, "1,130 hanging monitors"),
        ("slow", Harm::Slow, "1,000 slow monitors"),
        ("every_second", Harm::EverySecond, "5,000 monitors at 1 s"),
        ("commands", Harm::Commands, "a flood of commands"),
    ] {
        let name = format!("victim_lateness_ms_p99_{name}");
        if only.is_some_and(|only| only != "victim_lateness" && only != name) {
            continue;
        }
        let alone = bench.lateness().await;
        let beside = bench.beside(harm).await;
        eprintln!("  {what}: {} of {} slots missing", beside.missing.len(), beside.due);
        table.push(Row {
            name,
            value: beside.lateness_ms(99) as f64,
            unit: "ms",
            reference: format!("the same without {what} of another tenant ({} checks)", beside.due),
            reference_value: alone.lateness_ms(99).max(1) as f64,
        });
    }
    app.stop().await;
}

impl Bench {
    /// How late the victim's checks start beside the harm of the other tenant, which ends afterwards.
    async fn beside(&self, harm: Harm) -> Slots {
        if matches!(harm, Harm::Commands) {
            let flood = self.flood().await;
            let slots = self.lateness().await;
            drop(flood);
            return slots;
        }
        let monitors = register(&self.hostile, &self.harmful(harm)).await;
        sleep(SETTLING).await;
        let slots = self.lateness().await;
        let archive = |id: &String| json!({"action": "archive", "id": id});
        bulk(&self.hostile, &monitors.iter().map(archive).collect::<Vec<_>>()).await;
        sleep(SETTLING).await;
        slots
    }

    async fn lateness(&self) -> Slots {
        let window = Duration::from_secs(if is_soak() { 120 } else { 30 });
        let from = head(&self.store.read).await.expect("Postgres answers");
        let begin_ms = Utc::now().timestamp_millis();
        sleep(window).await;
        let window = begin_ms..Utc::now().timestamp_millis();
        Slots::read(&self.store, from, &self.monitors, INTERVAL_MS, window, REST).await
    }

    fn harmful(&self, harm: Harm) -> Vec<Value> {
        let at = |host, behaviour| self.target.url(host, behaviour);
        match harm {
            Harm::Hanging => (0..1_130)
                .map(|number| {
                    let host = if number < 30 { VICTIM_HOST } else { elsewhere(number) };
                    monitor(at(host, Behaviour::Hang), 20, 19_000)
                })
                .collect(),
            Harm::Slow => (0..1_000)
                .map(|number| monitor(at(elsewhere(number), Behaviour::Slow(4_000)), 5, 4_500))
                .collect(),
            Harm::EverySecond => (0..5_000)
                .map(|number| monitor(at(elsewhere(number), Behaviour::Answer), 1, 900))
                .collect(),
            Harm::Commands => Vec::new(),
        }
    }

    /// Loops of commands, until they are dropped.
    async fn flood(&self) -> JoinSet<()> {
        let quiet = monitor("https://example.com/".to_owned(), 86_400, 4_000);
        let monitors = register(&self.hostile, &vec![quiet; CONNECTIONS]).await;
        let mut loops = JoinSet::new();
        for id in monitors {
            let user = self.hostile.clone();
            loops.spawn(async move {
                let refused = json!({ "url": "http://169.254.169.254/" });
                for command in ["pause", "resume"].into_iter().cycle() {
                    let path = format!("/api/v1/monitors/{id}/{command}");
                    for request in [
                        user.request(Method::POST, &path),
                        user.request(Method::POST, "/api/v1/monitors").json(&refused),
                    ] {
                        // What it is answered does not matter to it.
                        drop(request.send().await);
                    }
                }
            });
        }
        loops
    }

    async fn until_checked(&self) {
        eventually("every monitor of the victim is up", async || {
            let listed = self.victim.get("/api/v1/monitors?status=up&limit=200").await.body;
            (listed["items"].as_array()?.len() == MONITORS).then_some(())
        })
        .await;
    }
}

fn monitor(url: String, interval_seconds: u32, timeout_ms: u32) -> Value {
    json!({ "url": url, "interval_seconds": interval_seconds, "timeout_ms": timeout_ms })
}

/// One of the hosts that are not the victim's.
fn elsewhere(number: usize) -> Ipv4Addr {
    let byte = |number: usize| u8::try_from(number % 250 + 1).expect("at most 250");
    Ipv4Addr::new(127, 1, byte(number / 250), byte(number))
}

/// Registers monitors and returns their ids.
async fn register(user: &User, monitors: &[Value]) -> Vec<String> {
    let register = |monitor: &Value| json!({"action": "register", "monitor": monitor});
    bulk(user, &monitors.iter().map(register).collect::<Vec<_>>()).await
}

/// Does each of the operations, all of which succeed, and returns the ids.
async fn bulk(user: &User, operations: &[Value]) -> Vec<String> {
    let mut ids = Vec::new();
    for some in operations.chunks(500) {
        let answer = user.post("/api/v1/monitors/bulk", &json!({ "operations": some })).await;
        assert_eq!(answer.body["succeeded"], some.len(), "{}", answer.body);
        let items = answer.body["items"].as_array().expect("results");
        ids.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
    }
    ids
}
