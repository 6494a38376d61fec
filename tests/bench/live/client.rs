//! The subscribers: a process of its own, so that reading is not measured with writing. It is this
//! bench's program again, told by a variable, with its plan on standard input.

use std::collections::BTreeMap;
use std::process::Stdio;

use chrono::Utc;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::samples::Samples;

mod readers;

pub(crate) use self::readers::run;

/// The variable that makes a process the subscribers.
pub(crate) const ROLE: &str = "BENCH_LIVE_CLIENT";

/// What subscribers do.
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) token: String,
    /// Of each connection the rooms; none of one that only listens.
    pub(super) rooms: Vec<Vec<String>>,
    /// So many of them read nothing after they have subscribed.
    pub(super) stalled: usize,
    pub(super) after: Option<i64>,
}

/// The running subscribers.
pub(super) struct Subscribers {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// What they have seen: of each message the position, and when it was read, in microseconds since 1970.
pub(super) struct Seen(Vec<(i64, i64)>);

impl Seen {
    pub(super) fn messages(&self) -> usize {
        self.0.len()
    }

    /// From the first message to the last.
    pub(super) fn seconds(&self) -> f64 {
        let times = || self.0.iter().map(|(_, at_us)| at_us);
        times().max().zip(times().min()).map_or(0.0, |(last, first)| (last - first) as f64 / 1e6)
    }

    /// From when each one's commit had returned to when it was read.
    pub(super) fn latencies(&self, commits: &Commits) -> Samples {
        let mut samples = Samples::default();
        for (position, at_us) in &self.0 {
            let committed_us = commits.returned_us(*position);
            samples.add((at_us - committed_us).max(0) as f64 / 1_000.0);
        }
        samples
    }
}

/// The commits of a run: of each one the last position, and when it had returned.
#[derive(Default)]
pub(super) struct Commits(BTreeMap<i64, i64>);

impl Commits {
    /// A commit through this position returned now.
    pub(super) fn returned(&mut self, through: i64) {
        self.0.insert(through, Utc::now().timestamp_micros());
    }

    fn returned_us(&self, position: i64) -> i64 {
        *self.0.range(position..).next().expect("every event was committed").1
    }
}

impl Subscribers {
    /// Starts them, and waits until all have subscribed and been sent what they have missed.
    pub(super) async fn start(plan: Plan) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the subscribers start");
        let Plan { url, token, rooms, stalled, after } = plan;
        let plan = json!({"url": url, "token": token, "rooms": rooms, "stalled": stalled,
                          "after": after});
        let mut subscribers = {
            let output = BufReader::new(child.stdout.take().expect("its output"));
            Self { child, output }
        };
        subscribers.say(&plan.to_string()).await;
        assert_eq!(subscribers.hear().await, "ready");
        subscribers
    }

    async fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input");
        input.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
    }

    async fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).await.expect("it answers");
        line.trim_end().to_owned()
    }

    /// Waits until they have so many events in all, and ends them.
    pub(super) async fn until(mut self, messages: u64) -> Seen {
        self.say(&messages.to_string()).await;
        Seen(serde_json::from_str(&self.hear().await).expect("what was read"))
    }
}
