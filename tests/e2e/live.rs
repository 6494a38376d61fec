//! The live feed of more than one server.

use std::process::Stdio;
use std::time::Duration;

use pulsetrail_harness::{Corner, Feed, Server, Target, User, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::corner;

/// Within so much a dead server is forgotten.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(15);

/// People who watch one monitor at two servers: each with a tab at the first one, two of them with
/// another at the second.
struct Watchers {
    monitor: String,
    first: Vec<Feed>,
    second: Vec<Feed>,
}

/// A member of the organization, by an invitation.
async fn joined(owner: &User) -> User {
    let someone = User::sign_up(&owner.url).await;
    let email = someone.get("/api/v1/me").await.body["user"]["email"].clone();
    let invitation = json!({"email": email, "role": "viewer"});
    let invited = owner.post("/api/v1/invitations", &invitation).await;
    let token = json!({"token": invited.body["token"]});
    assert_eq!(someone.post("/api/v1/invitations/accept", &token).await.status, 200);
    let switch = format!("/api/v1/organizations/{}/switch", owner.organization);
    let session = someone.post(&switch, &json!({})).await.body;
    someone.with_token(session["access_token"].as_str().unwrap(), &owner.organization)
}

impl Watchers {
    /// Three people, five tabs: all but the last person's only one are at the first server.
    async fn gather(owner: &User, second: &Server) -> Self {
        let url = json!({"url": "https://example.com"});
        let monitor = owner.post("/api/v1/monitors", &url).await.body["id"].take();
        let people = [owner.clone(), joined(owner).await, joined(owner).await];
        let mut tabs = Vec::new();
        for (person, url) in
            [(0, &owner.url), (0, &owner.url), (1, &owner.url), (1, &second.url), (2, &second.url)]
        {
            let mut tab = people[person].at(url).live().await;
            tab.subscribe(json!([monitor]), None).await;
            tabs.push(tab);
        }
        let second = tabs.split_off(3);
        Self { monitor: monitor.as_str().unwrap().to_owned(), first: tabs, second }
    }

    /// Whether everybody at the first server is told in time that so many watch.
    async fn first_is_told(&mut self, count: u64, patience: Duration) -> bool {
        let monitor = &self.monitor;
        let told = self.first.iter_mut().map(|tab| tab.until_viewers(monitor, count, patience));
        futures_util::future::join_all(told).await.into_iter().all(|told| told)
    }
}

async fn two_servers() -> (Corner, pulsetrail_harness::App, Server) {
    let corner = corner().await;
    let app = corner.start().await;
    let second = corner.server().await;
    (corner, app, second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_counts_people_over_all_servers_and_forgets_a_dead_one() {
    let (_corner, app, second) = two_servers().await;
    let owner = User::sign_up(&app.url).await;
    let mut watchers = Watchers::gather(&owner, &second).await;
    assert!(watchers.first_is_told(3, FORGOTTEN_WITHIN).await);
    let at_second = watchers.second[1].until_viewers(&watchers.monitor, 3, FORGOTTEN_WITHIN);
    assert!(at_second.await);
    second.kill().await;
    assert!(watchers.first_is_told(2, FORGOTTEN_WITHIN).await);
    // A tab less of somebody with two is nobody less; who closes the last one is gone.
    watchers.first.remove(0);
    watchers.first.remove(1);
    assert!(watchers.first_is_told(1, FORGOTTEN_WITHIN).await);
    let mut newcomer = owner.live().await;
    newcomer.subscribe(json!([watchers.monitor]), None).await;
    assert!(newcomer.until_viewers(&watchers.monitor, 1, FORGOTTEN_WITHIN).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_a_server_that_is_believed_to_live_for_ever_is_not_forgotten() {
    let (corner, app, second) = two_servers().await;
    let owner = User::sign_up(&app.url).await;
    let mut watchers = Watchers::gather(&owner, &second).await;
    assert!(watchers.first_is_told(3, FORGOTTEN_WITHIN).await);
    // Stopped, so that no sign of life takes the end of its time back.
    second.stand_still();
    let store = corner.store().await;
    sqlx::query("update live_servers set expires_at = 'infinity'")
        .execute(&store.read)
        .await
        .unwrap();
    second.kill().await;
    assert!(!watchers.first_is_told(2, FORGOTTEN_WITHIN).await);
    app.stop().await;
}

/// The positions in the lines of a `pulsetrail watch`, up to one.
async fn watched(output: &mut (impl AsyncBufRead + Unpin), through: i64, seen: &mut Vec<i64>) {
    while seen.last().is_none_or(|last| *last < through) {
        let mut line = String::new();
        assert!(output.read_line(&mut line).await.unwrap() > 0, "it goes on");
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["event"]["specversion"], "1.0", "{message}");
        seen.push(message["position"].as_i64().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_comes_back_after_a_crash_of_the_server_and_skips_and_repeats_nothing() {
    let (corner, app, second) = two_servers().await;
    let owner = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = owner.watch(&target.url()).await;
    let mut command = corner.command(["watch", "--after", "0", &monitor]);
    command.env("PULSETRAIL_TOKEN", &owner.token).env("PULSETRAIL_URL", &second.url);
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(watch.stdout.take().unwrap());
    let newest =
        async || owner.events(&monitor).await.last().unwrap()["position"].as_i64().unwrap();
    let mut seen = Vec::new();
    owner.until_status(&monitor, "up").await;
    watched(&mut output, newest().await, &mut seen).await;
    let url = second.url.clone();
    second.kill().await;
    // Something happens while nobody is there to tell of it.
    let before = newest().await;
    eventually("the log went on", async || (newest().await > before).then_some(())).await;
    let _third = corner.server_at(&url).await;
    watched(&mut output, newest().await, &mut seen).await;
    let log: Vec<i64> =
        owner.events(&monitor).await.iter().map(|e| e["position"].as_i64().unwrap()).collect();
    assert_eq!(seen, log[..seen.len()]);
    watch.kill().await.unwrap();
    let said = watch.wait_with_output().await.unwrap().stderr;
    assert!(!String::from_utf8(said).unwrap().contains(&owner.token));

    let refused = corner
        .command(["watch"])
        .env("PULSETRAIL_TOKEN", "nobody's")
        .env("PULSETRAIL_URL", &app.url)
        .output()
        .await
        .unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("is not good") && !said.contains("nobody's"), "{said}");
    app.stop().await;
}
