//! Asking `/healthz` all the time, from a thread of its own, so that the load that the test makes does not
//! hold the questions back.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// A thread that asks.
pub(super) struct HealthPolls {
    stop: CancellationToken,
    asking: JoinHandle<Health>,
}

/// What was answered.
#[derive(Default)]
pub(super) struct Health {
    pub(super) answers: u32,
    pub(super) slowest: Duration,
    /// What came instead of an answer with 200.
    pub(super) failures: Vec<String>,
}

impl HealthPolls {
    pub(super) fn start(url: &str) -> Self {
        let (stop, url) = (CancellationToken::new(), format!("{url}/healthz"));
        let stopped = stop.clone();
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(ask(&url, &stopped))
        });
        Self { stop, asking }
    }

    pub(super) fn stop(self) -> Health {
        self.stop.cancel();
        self.asking.join().unwrap()
    }
}

async fn ask(url: &str, stop: &CancellationToken) -> Health {
    let mut health = Health::default();
    while !stop.is_cancelled() {
        // A connection of its own for each: a new caller must get through too.
        let client = pulsetrail_harness::http_client();
        let begun = Instant::now();
        match client.get(url).send().await {
            Ok(answer) if answer.status() == 200 => health.answers += 1,
            Ok(answer) => health.failures.push(answer.status().to_string()),
            Err(error) => health.failures.push(error.to_string()),
        }
        health.slowest = health.slowest.max(begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    health
}

/// The control: a server that takes connections and does not answer is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_is_found_out() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let polls = HealthPolls::start(&format!("http://{}", listener.local_addr().unwrap()));
    let (connection, _) = listener.accept().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop((listener, connection));
    let health = tokio::task::spawn_blocking(|| polls.stop()).await.unwrap();
    assert_eq!(health.answers, 0);
    assert!(!health.failures.is_empty() && health.slowest >= Duration::from_secs(1));
}
