//! The live feed under many subscribers: from an event's commit to the sockets, open loop.

mod bare;
pub(crate) mod client;

use std::time::{Duration, Instant};

use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_harness::{App, Corner, User, engines};
use pulsetrail_infra::store::{Store, head};
use serde_json::json;
use tokio::time::interval;

use self::bare::{Bare, Ceiling};
use self::client::{Commits, Plan, Subscribers};
use crate::samples::Samples;
use crate::table::{Row, Table};
use crate::{BINARY, fixture, memory, round_trip};

/// The figures.
pub(crate) const FIGURES: [&str; 6] = [
    "result_to_socket_ms",
    "one_room_10k_ms",
    "stalled_readers_p99_ratio",
    "fanout_msgs_per_s",
    "memory_per_connection_kb",
    "resume_10k_reconnects_s",
];

const SUBSCRIBERS: usize = 1_000;
const CROWD: usize = 10_000;
const ROOMS: usize = 10;
const STALLED: usize = 100;
const EVENTS_PER_SECOND: u32 = 500;
const SECONDS: u32 = 20;
/// Events that are stored at once.
const TOGETHER: u32 = 5;
const FANOUT_EVENTS: u32 = 500;

struct Bench {
    app: App,
    store: Store,
    user: User,
    monitors: Vec<MonitorId>,
}

pub(crate) async fn measure(table: &mut Table, only: Option<&str>) {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let corner = Corner::new(engines(BINARY.as_ref()).await.urls(), BINARY).await;
    let mut command = corner.command(["up"]);
    command.env("PULSETRAIL_LIVE_CONNECTIONS_PER_PERSON", "100000");
    let app = App::start(command, &corner.data_dir.path().join("bench.log")).await;
    let user = User::sign_up(&app.url).await;
    let bench = Bench { store: corner.store().await, monitors: register(&user).await, app, user };
    if wanted("result_to_socket_ms") || wanted("stalled_readers_p99_ratio") {
        let mut bare = round_trip::measure(&corner.kafka(), EVENTS_PER_SECOND, 2_500).await;
        let mut steady = bench.steady(0).await;
        if wanted("result_to_socket_ms") {
            let reference = "one bare Kafka round trip at the same rate";
            steady.report(table, "result_to_socket_ms", reference, &mut bare, 1.0);
        }
        if wanted("stalled_readers_p99_ratio") {
            table.push(Row {
                name: "stalled_readers_p99_ratio".to_owned(),
                value: bench.steady(STALLED).await.percentile(99.0) / steady.percentile(99.0),
                unit: "",
                reference: "the same where everybody reads".to_owned(),
                reference_value: 1.0,
            });
        }
    }
    if wanted("fanout_msgs_per_s") {
        bench.fanout(table).await;
    }
    if wanted("one_room_10k_ms")
        || wanted("memory_per_connection_kb")
        || wanted("resume_10k_reconnects_s")
    {
        bench.crowd(table, &wanted).await;
    }
    bench.app.stop().await;
}

/// As many monitors as subscribers, each with a first check only.
async fn register(user: &User) -> Vec<MonitorId> {
    let monitor = json!({"url": "http://127.0.0.1:9/", "interval_seconds": 86_400});
    let one = json!({"action": "register", "monitor": monitor});
    let mut monitors = Vec::new();
    while monitors.len() < SUBSCRIBERS {
        let body = json!({"operations": vec![one.clone(); 100]});
        let answer = user.post("/api/v1/monitors/bulk", &body).await;
        let items = answer.body["items"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
        let ids = items.iter().map(|item| item["id"].as_str().expect("an id"));
        monitors.extend(ids.map(|id| id.parse::<MonitorId>().expect("an id")));
    }
    monitors
}

impl Bench {
    fn plan(&self, rooms: Vec<Vec<MonitorId>>, stalled: usize, after: Option<i64>) -> Plan {
        let names = |rooms: Vec<MonitorId>| rooms.iter().map(ToString::to_string).collect();
        let (url, token) = (self.user.url.clone(), self.user.token.clone());
        Plan { url, token, rooms: rooms.into_iter().map(names).collect(), stalled, after }
    }

    /// Stores checks of the given monitors in one transaction.
    async fn store(&self, monitors: &[MonitorId], round: i64, commits: &mut Commits) {
        let organization: OrganizationId = self.user.organization.parse().expect("an id");
        let mut batch = fixture::checks(monitors, round);
        for append in &mut batch {
            append.organization_id = organization;
            append.expected = None;
        }
        let through = fixture::append(&self.store, &batch).await;
        commits.returned(through.0);
    }

    /// Subscribers of ten rooms each, every event for ten of them; the first ones read nothing.
    async fn steady(&self, stalled: usize) -> Samples {
        let rooms = (0..SUBSCRIBERS).map(|number| {
            (0..ROOMS).map(|room| self.monitors[(number + room) % SUBSCRIBERS]).collect()
        });
        let subscribers = Subscribers::start(self.plan(rooms.collect(), stalled, None)).await;
        let mut clock = interval(Duration::from_secs(1) * TOGETHER / EVENTS_PER_SECOND);
        // Events that no stalled subscriber waits for are counted whole.
        let (mut read, mut commits) = (0, Commits::default());
        for number in 0..SECONDS * EVENTS_PER_SECOND / TOGETHER {
            clock.tick().await;
            let first = (number * TOGETHER) as usize % SUBSCRIBERS;
            let together: Vec<usize> = (first..first + TOGETHER as usize).collect();
            read += together.iter().map(|room| self.readers_of(*room, stalled)).sum::<u64>();
            let monitors: Vec<MonitorId> =
                together.iter().map(|room| self.monitors[room % SUBSCRIBERS]).collect();
            self.store(&monitors, i64::from(number), &mut commits).await;
        }
        subscribers.until(read).await.latencies(&commits)
    }

    /// How many of those in a room read.
    fn readers_of(&self, room: usize, stalled: usize) -> u64 {
        let inside = (0..ROOMS).map(|back| (room + SUBSCRIBERS - back) % SUBSCRIBERS);
        inside.filter(|number| *number >= stalled).count() as u64
    }

    /// As fast as it goes, to everybody in one room.
    async fn fanout(&self, table: &mut Table) {
        let messages = u64::from(FANOUT_EVENTS) * SUBSCRIBERS as u64;
        let room = vec![self.monitors[..1].to_vec(); SUBSCRIBERS];
        let subscribers = Subscribers::start(self.plan(room, 0, None)).await;
        let mut commits = Commits::default();
        for round in 0..FANOUT_EVENTS {
            self.store(&self.monitors[..1], i64::from(round), &mut commits).await;
        }
        let seen = subscribers.until(messages).await;
        let mut bare = Bare::listen().await;
        let url = bare.url();
        let plan = Plan { url, ..self.plan(vec![Vec::new(); SUBSCRIBERS], 0, None) };
        let (subscribers, ()) = tokio::join!(Subscribers::start(plan), bare.accept(SUBSCRIBERS));
        for position in 0..FANOUT_EVENTS {
            bare.write(position.into()).await;
        }
        let reference = subscribers.until(messages).await;
        table.push(Row {
            name: "fanout_msgs_per_s".to_owned(),
            value: seen.messages() as f64 / seen.seconds(),
            unit: "1/s",
            reference: format!("a bare write loop to {SUBSCRIBERS} sockets"),
            reference_value: reference.messages() as f64 / reference.seconds(),
        });
        bare.end().await;
    }

    /// A crowd in one room: how late, how large, and how soon it is back.
    async fn crowd(&self, table: &mut Table, wanted: &impl Fn(&str) -> bool) {
        let room = vec![self.monitors[..1].to_vec(); CROWD];
        let before = self.resident_kb();
        let begun = Instant::now();
        let subscribers = Subscribers::start(self.plan(room.clone(), 0, None)).await;
        let connected = begun.elapsed();
        let grown = self.resident_kb() - before;
        let mut clock = interval(Duration::from_millis(500));
        let (events, mut commits) = (2 * SECONDS, Commits::default());
        for round in 0..events {
            clock.tick().await;
            self.store(&self.monitors[..1], i64::from(round), &mut commits).await;
        }
        let seen = subscribers.until(u64::from(events) * CROWD as u64).await;
        if wanted("one_room_10k_ms") {
            let mut ceiling = ceiling().await;
            let reference = "the system calls alone, on all processors";
            seen.latencies(&commits).report(table, "one_room_10k_ms", reference, &mut ceiling, 1.0);
        }
        if wanted("memory_per_connection_kb") {
            table.push(Row {
                name: "memory_per_connection_kb".to_owned(),
                value: grown / CROWD as f64,
                unit: "kB",
                reference: "the buffers that a connection is given: 4 to read, 16 to write"
                    .to_owned(),
                reference_value: 20.0,
            });
        }
        if wanted("resume_10k_reconnects_s") {
            let position = head(&self.store.read).await.expect("a position").0;
            let begun = Instant::now();
            let plan = self.plan(room, 0, Some(position - i64::from(events) / 2));
            let _subscribers = Subscribers::start(plan).await;
            table.push(Row {
                name: "resume_10k_reconnects_s".to_owned(),
                value: begun.elapsed().as_secs_f64(),
                unit: "s",
                reference: "the same with nothing to resume".to_owned(),
                reference_value: connected.as_secs_f64(),
            });
        }
    }

    fn resident_kb(&self) -> f64 {
        memory::by_process(self.app.pid())["pulsetrail"] * 1_000.0
    }
}

/// How late messages are that nothing but system calls writes to a crowd.
async fn ceiling() -> Samples {
    let mut bare = Bare::listen().await;
    let (url, token) = (bare.url(), String::new());
    let plan = Plan { url, token, rooms: vec![Vec::new(); CROWD], stalled: 0, after: None };
    let (subscribers, ()) = tokio::join!(Subscribers::start(plan), bare.accept(CROWD));
    let ceiling = Ceiling::of(bare);
    let mut clock = interval(Duration::from_millis(500));
    let mut begun = Commits::default();
    for position in 0..i64::from(2 * SECONDS) {
        clock.tick().await;
        begun.returned(position);
        ceiling.write(position);
    }
    subscribers.until(u64::from(2 * SECONDS) * CROWD as u64).await.latencies(&begun)
}
