//! Every role as a process of its own, on engines of the test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use chrono::Utc;
use clickhouse::Client;
use pulsetrail_domain::health::HealthEvent;
use pulsetrail_harness::{Corner, RoleProcess, User, within};
use pulsetrail_infra::clickhouse::client;
use pulsetrail_infra::engines::{Engine, EngineSettings, Engines, start};
use pulsetrail_infra::store::{Event, Store, head, read_after};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::super::engines::{until_kafka_answers, until_postgres_answers};
use super::super::{SETTLING, prepare};
use super::drops::Drops;

/// The roles that a slot passes on its way, and the one that shows what became of it.
pub(super) const ROLES: [&str; 5] = ["prober", "scheduler", "recorder", "relay", "projector"];

pub(super) struct Installation {
    engines: Engines,
    corner: Corner,
    roles: BTreeMap<&'static str, RoleProcess>,
    target: SocketAddr,
    /// How many were registered.
    monitors: usize,
    _directory: TempDir,
}

impl Installation {
    pub(super) async fn start() -> Self {
        let binary = env!("CARGO_BIN_EXE_pulsetrail");
        let directory = tempfile::tempdir().unwrap();
        let settings = EngineSettings {
            clickhouse_program: vec![binary.into(), "chdb-server".into()],
            ..EngineSettings::default()
        };
        let engines = start(&settings, directory.path(), |_| {}).await.unwrap();
        let corner = Corner::new(engines.urls(), binary).await;
        prepare(&corner).await;
        let roles = BTreeMap::new();
        let target = target().await;
        let mut started =
            Self { engines, corner, roles, target, monitors: 0, _directory: directory };
        started.start_roles().await;
        started
    }

    /// Starts every role, once the engines answer.
    pub(super) async fn start_roles(&mut self) {
        until_postgres_answers(&self.corner.urls).await;
        until_kafka_answers(&self.corner).await;
        for role in ROLES.into_iter().chain(["server"]) {
            self.roles.insert(role, self.corner.role(role).await);
        }
        for process in self.roles.values() {
            pulsetrail_harness::until_ready(&process.url).await;
        }
    }

    /// Where the interface is.
    pub(super) fn url(&self) -> &str {
        &self.roles["server"].url
    }

    pub(super) async fn user(&self) -> User {
        User::sign_up(self.url()).await
    }

    pub(super) async fn store(&self) -> Store {
        self.corner.store().await
    }

    pub(super) fn clickhouse(&self) -> Client {
        client(&self.corner.urls.clickhouse_url.parse().unwrap(), &self.corner.name)
    }

    /// Registers monitors in bulk, of many hosts: a prober checks few of one at a time.
    pub(super) async fn register(&mut self, user: &User, count: usize, interval_seconds: u32) {
        let operations: Vec<Value> = (0..count)
            .map(|number| {
                let host = format!("127.0.{}.{}", 1 + number / 200, 1 + number % 200);
                let url = format!("http://{host}:{}/", self.target.port());
                let (timeout_ms, action) = (1_500, "register");
                let monitor = json!({"url": url, "interval_seconds": interval_seconds,
                    "timeout_ms": timeout_ms});
                json!({"action": action, "monitor": monitor})
            })
            .collect();
        let answer = user.post("/api/v1/monitors/bulk", &json!({"operations": operations})).await;
        let items = answer.body["items"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
        assert!(items.iter().all(|item| item["id"].is_string()), "{}", answer.body);
        self.monitors += count;
    }

    /// Stops a role for a while.
    pub(super) async fn stall_role(&self, role: &str, stall: Duration) {
        self.roles[role].signal("-STOP");
        sleep(stall).await;
        self.roles[role].signal("-CONT");
    }

    /// Stops an engine with all its processes for a while.
    pub(super) async fn stall_engine(&self, engine: Engine, stall: Duration) {
        let first = self.engines.child(engine).unwrap().pid().unwrap();
        let all = with_descendants(first);
        signal("-STOP", &all);
        sleep(stall).await;
        signal("-CONT", &all);
    }

    /// Kills every role and every engine as a crash of the machine would. The engines come back.
    pub(super) async fn kill_everything(&mut self) {
        for (_, child) in self.engines.children() {
            signal("-KILL", &with_descendants(child.pid().unwrap()));
        }
        for (_, process) in std::mem::take(&mut self.roles) {
            process.kill().await;
        }
    }

    /// Waits until every monitor has a check of a slot after now; returns now, in ms.
    pub(super) async fn until_checked_again(&self) -> i64 {
        let now_ms = Utc::now().timestamp_millis();
        let store = self.store().await;
        let mut read = head(&store.read).await.unwrap();
        let mut checked = BTreeSet::new();
        within(SETTLING, "every monitor is checked again", async || {
            let page = read_after(&store.read, read, 1_000).await.unwrap();
            read = page.last().map_or(read, |last| last.position);
            let is_check = |event: &&Event| event.event_type == "CheckCompleted";
            for event in page.iter().filter(is_check) {
                if let HealthEvent::CheckCompleted(result) = event.health_event().unwrap()
                    && result.slot_ms() >= now_ms
                {
                    checked.insert(event.aggregate_id.clone());
                }
            }
            (checked.len() == self.monitors).then_some(())
        })
        .await;
        now_ms
    }

    /// What the roles say of slots that they dropped, once they had the time to log it.
    pub(super) async fn drops(&self) -> Drops {
        within(SETTLING, "what was counted is logged", async || {
            let drops = Drops::of(&self.roles).await;
            drops.silent.is_empty().then_some(drops)
        })
        .await
    }
}

/// A target that answers at once, on every address of loopback.
async fn target() -> SocketAddr {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().fallback(any(async || "up"))).into_future());
    address
}

/// A process and all that it started.
fn with_descendants(first: u32) -> Vec<u32> {
    let mut all = vec![first];
    let mut next = 0;
    while let Some(parent) = all.get(next) {
        let tasks = format!("/proc/{parent}/task");
        let tasks = std::fs::read_dir(tasks).into_iter().flatten().flatten();
        let children =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> = children
            .flat_map(|line| {
                line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
            })
            .collect();
        all.extend(children);
        next += 1;
    }
    all
}

fn signal(name: &str, processes: &[u32]) {
    let pids = processes.iter().map(u32::to_string);
    // Some may have ended meanwhile.
    std::process::Command::new("kill").arg(name).args(pids).output().unwrap();
}
