//! Probers, schedulers and recorders that die and hang at random while monitors are checked every second.

mod dead_prober;
mod slots;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use chrono::Utc;
use pulsetrail_domain::monitor::{MonitorCommand, MonitorConfig, MonitorRequest};
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_harness::{Corner, Dice, RoleProcess, within};
use pulsetrail_infra::store::MonitorCommands;
use pulsetrail_infra::supervised::Supervisor;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use self::slots::{Log, results_of, without_memory};
use super::{SETTLING, prepare, short_or_long};
use crate::corner;

const SEED: u64 = 0x5EED_0006;
/// The jobs of a prober that is gone are another's after 10 s, a scheduler's lease after 2 s, and both may
/// come together.
const TAKEOVER_MS: i64 = 12_000;
const INTERVAL_MS: i64 = 1_000;

/// Two of a kind, of which one at a time is in trouble.
struct Crew {
    role: &'static str,
    members: Vec<RoleProcess>,
    /// How long they are left alone after a disturbance: as long as taking over may take.
    rest: Duration,
}

impl Crew {
    async fn new(corner: &Corner, role: &'static str, rest_ms: u64) -> Self {
        let (first, second) = tokio::join!(corner.role(role), corner.role(role));
        let (first, second) = tokio::join!(first.until_ready(), second.until_ready());
        Self { role, members: vec![first, second], rest: Duration::from_millis(rest_ms) }
    }

    /// Kills one and starts another in its place, or has one hang for a while, again and again; returns
    /// how often each.
    async fn disturb(&mut self, corner: &Corner, until: Instant, mut dice: Dice) -> (u32, u32) {
        let (mut killed, mut hung) = (0, 0);
        let mut next = Instant::now() + Duration::from_millis(500 + dice.roll(1_500));
        while next < until {
            tokio::time::sleep_until(next).await;
            let place = usize::try_from(dice.roll(2)).unwrap();
            // Both ways in turn, from a way that chance chose: a short run has both, too.
            if (killed + hung + u32::try_from(dice.0 % 2).unwrap()) % 2 == 0 {
                self.members.swap_remove(place).kill().await;
                self.members.push(corner.role(self.role).await);
                killed += 1;
            } else {
                self.members[place].signal("-STOP");
                sleep(Duration::from_millis(500 + dice.roll(4_000))).await;
                self.members[place].signal("-CONT");
                hung += 1;
            }
            next = Instant::now() + self.rest + Duration::from_millis(dice.roll(1_000));
        }
        (killed, hung)
    }
}

/// A target that answers at once, on every address of loopback.
async fn target() -> SocketAddr {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Router::new().fallback(any(async || "up"))).into_future());
    address
}

/// Registers as many monitors, which are checked every second.
async fn register(corner: &Corner, count: u32, target: SocketAddr) -> Vec<MonitorId> {
    let commands = MonitorCommands::new(corner.store().await, &Supervisor::default());
    let organization_id = OrganizationId(Uuid::now_v7());
    let mut monitors = Vec::new();
    for number in 0..count {
        let monitor_id = MonitorId(Uuid::now_v7());
        // Not all at one host, of which a prober checks a few at a time.
        let url = format!("http://127.0.1.{}:{}/", 1 + number % 200, target.port());
        let command = MonitorCommand::Register {
            monitor_id,
            organization_id,
            config: Box::new(config(&url)),
        };
        let request = MonitorRequest { expected_version: None, command };
        commands.execute(organization_id, monitor_id, request, Default::default()).await.unwrap();
        monitors.push(monitor_id);
    }
    monitors
}

fn config(url: &str) -> MonitorConfig {
    let config = json!({
        "name": "watched", "target": {"type": "http", "url": url},
        "interval_seconds": INTERVAL_MS / 1_000, "timeout_ms": 900, "retries": {},
        "confirmations": 1, "regions": ["default"], "tags": {},
    });
    serde_json::from_value(config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_or_hangs_each_slot_is_recorded_once_and_none_is_missed_for_long() {
    let corner = corner().await;
    prepare(&corner).await;
    let relay = corner.role("relay").await;
    let mut probers = Crew::new(&corner, "prober", 12_000).await;
    let mut schedulers = Crew::new(&corner, "scheduler", 5_000).await;
    let mut recorders = Crew::new(&corner, "recorder", 4_000).await;
    let monitors = register(&corner, short_or_long(100, 2_000), target().await).await;
    let store = corner.store().await;
    let mut log = Log::default();
    let all_since = async |log: &mut Log, begin_ms: i64| {
        within(SETTLING, "every monitor is checked", async || {
            log.read_on(&store).await;
            monitors.iter().all(|monitor| log.newest(*monitor) >= begin_ms).then_some(())
        })
        .await;
    };
    all_since(&mut log, 0).await;

    let until = Instant::now() + Duration::from_secs(short_or_long(15, 60));
    let ((killed, hung), others, third) = tokio::join!(
        probers.disturb(&corner, until, Dice(SEED)),
        schedulers.disturb(&corner, until, Dice(SEED + 1)),
        recorders.disturb(&corner, until, Dice(SEED + 2)),
    );
    let (killed, hung) = (killed + others.0 + third.0, hung + others.1 + third.1);
    assert!(killed > 1 && hung > 1, "{killed} were killed, {hung} hung");
    all_since(&mut log, Utc::now().timestamp_millis()).await;

    let results = results_of(&corner).await;
    log.read_on(&store).await;
    let slots: usize = monitors.iter().map(|monitor| log.slots(*monitor).len()).sum();
    println!(
        "{killed} killed, {hung} hung: {slots} slots recorded, {} results, of them duplicate_jobs {}",
        results.len(),
        results.duplicates(),
    );
    assert_eq!(log.twice(), [], "slots that are recorded twice");
    assert_eq!(log.gaps(TAKEOVER_MS + INTERVAL_MS), [], "times without a check");

    // The controls: who remembers no slot stores what comes twice, and a hole in a log is found.
    let forgetful = without_memory(&results.delivered_twice());
    assert!(!forgetful.twice().is_empty());
    log.forget(monitors[0], TAKEOVER_MS + 2 * INTERVAL_MS);
    assert_eq!(log.gaps(TAKEOVER_MS + INTERVAL_MS).len(), 1);
    drop(relay);
}
