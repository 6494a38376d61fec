//! A prober that joins others gets a share of their work, and what they are at is not made again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::any;
use pulsetrail_domain::{MonitorId, Region};
use pulsetrail_harness::{Corner, RoleProcess, within};
use tokio::net::TcpListener;
use tokio::time::sleep;
use uuid::Uuid;

use super::jobs::{job, schedule_by};
use crate::corner;
use crate::faults::SETTLING;

/// Jobs, in so many rounds. There is always something under way when partitions move.
const ROUNDS: usize = 60;
const JOBS_A_ROUND: usize = 6;
/// How long a target takes, and how long it is from round to round.
const SLOW: Duration = Duration::from_millis(900);
const PAUSE: Duration = Duration::from_millis(150);

/// How often each path was asked for.
type Requests = Arc<Mutex<HashMap<String, usize>>>;

/// A target on every address of loopback; its port, and what it was asked for.
async fn slow_target() -> (u16, Requests) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Requests::default();
    let routes = Router::new().fallback(any(answer)).with_state(Arc::clone(&requests));
    tokio::spawn(axum::serve(listener, routes).into_future());
    (port, requests)
}

async fn answer(State(requests): State<Requests>, uri: Uri) -> &'static str {
    *requests.lock().unwrap().entry(uri.path().to_owned()).or_default() += 1;
    sleep(SLOW).await;
    "up"
}

/// How often each job's target was asked where the prober at work is joined by another, and then leaves in
/// some way, so many rounds later.
async fn relieve(
    corner: &Corner,
    together: usize,
    leave: impl AsyncFnOnce(RoleProcess),
) -> HashMap<String, usize> {
    let kafka = corner.kafka();
    kafka.ensure_topics(&[Region::default()]).await.unwrap();
    let (port, requests) = slow_target().await;
    let first = corner.role("prober").await.until_ready().await;
    let producer = kafka.producer().unwrap();
    let round = async |round: usize| {
        let of_round = (0..JOBS_A_ROUND).map(|number| {
            // As many hosts, for no host is checked more than a few times at once; and many monitors, and
            // so all partitions.
            let url = format!("http://127.0.3.{}:{port}/{round}/{number}", 1 + round);
            job(MonitorId(Uuid::now_v7()), &url)
        });
        schedule_by(&producer, &kafka, of_round);
        sleep(PAUSE).await;
    };
    for number in 0..ROUNDS / 3 {
        round(number).await;
    }
    let second = corner.role("prober").await.until_ready().await;
    for number in ROUNDS / 3..ROUNDS / 3 + together {
        round(number).await;
    }
    let share = async || second.metric("pulsetrail_prober_checks_total").await > 0.0;
    assert!(together == 0 || share().await, "the other one got its share");
    leave(first).await;
    for number in ROUNDS / 3 + together..ROUNDS {
        round(number).await;
    }
    within(SETTLING, "every job is made", async || {
        (requests.lock().unwrap().len() == ROUNDS * JOBS_A_ROUND).then_some(())
    })
    .await;
    // It drains: whatever is left to be made is made before it ends.
    assert!(second.stop().await.success());
    let requests = requests.lock().unwrap();
    requests.clone()
}

fn twice(requests: &HashMap<String, usize>) -> Vec<&String> {
    requests.iter().filter(|(_, times)| **times > 1).map(|(path, _)| path).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_is_made_twice_when_a_prober_joins_and_another_leaves() {
    let (calm, dire) = tokio::join!(corner(), corner());
    let (calm, dire) = tokio::join!(
        relieve(&calm, ROUNDS / 3, async |first| assert!(first.stop().await.success())),
        // The control: one that is killed leaves what it was at to be made again.
        relieve(&dire, ROUNDS / 3, async |first| first.kill().await),
    );
    assert_eq!(twice(&calm), Vec::<&String>::new(), "checks that were made twice");
    assert!(!twice(&dire).is_empty(), "the control finds those that are made twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prober_that_is_told_to_stop_while_it_hands_over_leaves_the_group_itself() {
    let corner = corner().await;
    let requests = relieve(&corner, 0, async |mut first| {
        assert!(first.end().await.success());
        println!("{}", first.log());
        // What it says where it could not, and the group has to find out that it is gone.
        assert!(!first.log().contains("Kafka is away"), "{}", first.log());
    });
    assert_eq!(twice(&requests.await), Vec::<&String>::new(), "checks that were made twice");
}
