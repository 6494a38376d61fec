//! Subscribers that are cut off at random come back, to whichever server is there, and end with exactly
//! the store's sequence of their rooms.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use pulsetrail_harness::{Feed, eventually};
use pulsetrail_infra::store::head;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cell::{Cell, Reader};
use crate::history::Monitor;

const SUBSCRIBERS: usize = 6;
const MONITORS: usize = 12;
/// A server goes away after so many cuts, and another one comes.
const CUTS_A_RESTART: usize = 50;

/// Two servers, of which one goes away now and then.
struct Servers<'a> {
    cell: &'a Cell,
    running: Mutex<Vec<(String, CancellationToken)>>,
    cuts: AtomicUsize,
    /// The last event, when there will be no more and every server has it.
    end: watch::Sender<Option<i64>>,
}

impl Servers<'_> {
    fn any(&self, random: &mut StdRng) -> String {
        let running = self.running.lock().unwrap();
        running[random.random_range(0..running.len())].0.clone()
    }

    /// Starts a server, and stops the oldest where there are two.
    async fn renew(&self) {
        let stop = CancellationToken::new();
        let url = self.cell.server_until(stop.clone()).await;
        let mut running = self.running.lock().unwrap();
        running.push((url, stop));
        if running.len() > 2 {
            running.remove(0).1.cancel();
        }
    }
}

/// Somebody who wants all, or some rooms.
struct Subscriber {
    rooms: Option<Vec<Uuid>>,
    got: Vec<i64>,
    random: StdRng,
}

impl Subscriber {
    /// Connects, subscribes after the last event that it got or, if it is not to resume, from now on, and
    /// takes some events until it cuts the connection off. True when it has everything.
    async fn take_some(
        &mut self,
        servers: &Servers<'_>,
        reader: &Reader<'_>,
        start: i64,
        resumes: bool,
    ) -> bool {
        let url = servers.any(&mut self.random);
        let Some(mut feed) = Feed::open_if_there(&url, &reader.token).await else { return false };
        let monitors = self.rooms.as_ref().map_or(json!("all"), |rooms| json!(rooms));
        let mut subscribe = json!({"type": "subscribe", "monitors": monitors});
        let last = self.got.last().copied().unwrap_or(start);
        if resumes || self.got.is_empty() {
            subscribe["after"] = last.into();
        }
        let resumed = subscribe.get("after").is_some();
        feed.say(&subscribe).await;
        let mut end = servers.end.subscribe();
        let ended = *end.borrow_and_update();
        // Cut off in the middle of a replay, in the seam, and while nothing happens.
        let wanted = if ended.is_some() { usize::MAX } else { self.random.random_range(0..12) };
        let mut taken = 0;
        while taken < wanted {
            let heard = tokio::select! {
                heard = feed.hear() => heard,
                _ = end.changed() => return false,
            };
            let Ok(message) = heard else { return false };
            let reached = |field: &str| ended.is_some() && message[field].as_i64() >= ended;
            match message["type"].as_str().unwrap() {
                "event" => {
                    self.got.push(message["position"].as_i64().unwrap());
                    taken += 1;
                }
                "replayed" if reached("through") => return true,
                "subscribed" if !resumed && reached("position") => return true,
                // The server has not noticed yet that earlier connections are gone.
                "error" if message["code"] == "too_many_connections" => return false,
                "subscribed" | "replayed" | "lagged" | "presence" => {}
                other => panic!("{other}: {message}"),
            }
        }
        servers.cuts.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// Lets events flow while subscribers are cut off `cuts` times in all. Gives what each one got, beside
/// what the store has for it.
async fn cut_and_resume(seed: u64, cuts: usize, resumes: bool) -> Vec<(Vec<i64>, Vec<i64>)> {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let mut random = StdRng::seed_from_u64(seed);
    let noise = stranger.monitor(0, "noise", json!({})).await;
    let mut monitors = Vec::new();
    for number in 0..MONITORS {
        monitors.push(reader.monitor(0, &format!("m{number}"), json!({})).await);
    }
    cell.projected().await;
    let start = head(&cell.store.read).await.unwrap().0;
    let servers = Servers {
        cell: &cell,
        running: Mutex::default(),
        cuts: AtomicUsize::new(0),
        end: watch::Sender::new(None),
    };
    servers.renew().await;
    servers.renew().await;
    let subscribers: Vec<Subscriber> = (0..SUBSCRIBERS)
        .map(|number| {
            let some = |random: &mut StdRng| {
                let first = random.random_range(0..MONITORS - 4);
                monitors[first..first + 4].iter().map(|monitor| monitor.id).collect()
            };
            let rooms = (number % 2 == 1).then(|| some(&mut random));
            Subscriber { rooms, got: Vec::new(), random: StdRng::seed_from_u64(random.random()) }
        })
        .collect();

    let done = AtomicBool::new(false);
    let restarting = async {
        let mut clock = interval(Duration::from_millis(10));
        let mut restarts = 0;
        while !done.load(Ordering::Relaxed) {
            clock.tick().await;
            if servers.cuts.load(Ordering::Relaxed) / CUTS_A_RESTART > restarts {
                restarts += 1;
                servers.renew().await;
            }
        }
        restarts
    };
    let flowing = flow(&servers, &monitors, &noise, cuts, random.random());
    let (reader, servers_of_all) = (&reader, &servers);
    let subscribing = async {
        let all = subscribers.into_iter().map(async |mut subscriber| {
            while !subscriber.take_some(servers_of_all, reader, start, resumes).await {}
            subscriber
        });
        let ended = join_all(all).await;
        done.store(true, Ordering::Relaxed);
        ended
    };
    let (restarts, (), subscribers) = tokio::join!(restarting, flowing, subscribing);
    assert!(restarts >= cuts / CUTS_A_RESTART / 2, "{restarts}");
    let mut results = Vec::new();
    for Subscriber { rooms, got, .. } in subscribers {
        results.push((got, stored(&cell, reader.organization_id, rooms, start).await));
    }
    results
}

/// Appends events at random until there were enough cuts, and waits until every server has them.
async fn flow(
    servers: &Servers<'_>,
    monitors: &[Monitor<'_>],
    noise: &Monitor<'_>,
    cuts: usize,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut clock = interval(Duration::from_millis(4));
    let mut slot = 0;
    while servers.cuts.load(Ordering::Relaxed) < cuts {
        clock.tick().await;
        slot += 60;
        monitors[random.random_range(0..monitors.len())].check(slot, "up").await;
        if random.random_ratio(1, 4) {
            noise.check(slot, "up").await;
        }
    }
    let end = head(&servers.cell.store.read).await.unwrap().0;
    let urls: Vec<String> =
        servers.running.lock().unwrap().iter().map(|(url, _)| url.clone()).collect();
    for url in urls {
        eventually("the server has everything, or is gone", async || {
            let Some(mut feed) = Feed::open_if_there(&url, &noise.reader.token).await else {
                return Some(());
            };
            feed.say(&json!({"type": "subscribe", "monitors": "all"})).await;
            let Ok(answer) = feed.hear().await else { return Some(()) };
            (answer["position"].as_i64() >= Some(end)).then_some(())
        })
        .await;
    }
    servers.end.send_replace(Some(end));
}

/// The positions of the store's events of an organization's rooms.
async fn stored(cell: &Cell, organization: Uuid, rooms: Option<Vec<Uuid>>, start: i64) -> Vec<i64> {
    let rooms = rooms.map(|rooms| rooms.iter().map(Uuid::to_string).collect::<Vec<_>>());
    sqlx::query_scalar(
        "select position from events
         where organization_id = $1 and position > $2 and ($3::text[] is null or aggregate_id = any($3))
         order by position",
    )
    .bind(organization)
    .bind(start)
    .bind(rooms)
    .fetch_all(&cell.store.read)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_a_thousand_times_ends_with_exactly_the_stores_sequence() {
    let ended = Box::pin(cut_and_resume(1, 1_000, true)).await;
    for (number, (got, stored)) in ended.into_iter().enumerate() {
        assert!(stored.len() > 100, "{}", stored.len());
        assert!(got == stored, "{number}: {} of {}", got.len(), stored.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_who_comes_back_without_a_position_misses_some() {
    let results = Box::pin(cut_and_resume(1, 100, false)).await;
    assert!(results.iter().any(|(got, stored)| got.len() < stored.len() && got != stored));
}
