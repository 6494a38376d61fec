//! What the installation says of itself.

use pulsetrail_harness::{
    Corner, Target, User, eventually, http_client, metric, metrics, until_ready,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Child;

use crate::corner;
use crate::recording::{Results, first_slot_ms, quiet_monitor, result_of};

async fn system(user: &User) -> Value {
    let answer = user.get("/api/v1/system").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// How many copies of a role are alive.
fn copies(system: &Value, role: &str) -> usize {
    system["roles"].as_array().unwrap().iter().filter(|one| one["role"] == role).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_role_shows_until_it_is_killed() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let second = corner.role("recorder").await.until_ready().await;
    let third = corner.role("recorder").await.until_ready().await;
    eventually("every copy shows", async || {
        let now = system(&user).await;
        let others = ["server", "relay", "scheduler", "projector", "prober"];
        let all = others.iter().all(|role| copies(&now, role) == 1);
        (all && copies(&now, "recorder") == 3).then_some(())
    })
    .await;
    // One is killed and one says goodbye.
    second.kill().await;
    third.stop().await;
    eventually("they do not show any more", async || {
        (copies(&system(&user).await, "recorder") == 1).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_job_shows_stage_by_stage_and_strangers_see_numbers_alone() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    user.watch(&target.url()).await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let now = eventually("every stage was gone through", async || {
        let now = system(&user).await;
        let stages = now["stages"].as_array().unwrap();
        let all = stages.iter().all(|stage| stage["average_ms"].is_number());
        let counted = now["jobs"]["recorded"].as_i64() > Some(1) && now["connections"]["live"] == 1;
        (all && counted).then_some(now)
    })
    .await;
    // The same is among the metrics of the process that did it.
    let metrics = metrics(&app.url).await.unwrap();
    for stage in ["result", "stored", "published", "pushed"] {
        let count = format!("pulsetrail_job_stage_seconds_count{{stage=\"{stage}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&count));
        assert!(line.unwrap().parse::<f64>().unwrap() > 1.0, "{stage}: {line:?}");
    }
    let names: Vec<&Value> =
        now["stages"].as_array().unwrap().iter().map(|s| &s["stage"]).collect();
    assert_eq!(names, ["queued", "probing", "result", "stored", "published", "pushed"]);
    assert!(now["engines"].as_array().unwrap().iter().all(|engine| engine["available"] == true));
    let queues = now["queues"].as_array().unwrap();
    let partitions = |name: &str| {
        let queue = queues.iter().find(|queue| queue["queue"] == name).unwrap();
        queue["partitions"].as_array().unwrap().len()
    };
    assert_eq!(
        ["jobs.default", "jobs.default.now", "results"].map(partitions),
        [12, 4, 12],
        "{queues:?}"
    );
    // Whoever holds a lease is among the roles.
    for name in ["relay", "scheduler"] {
        let leases = now["leases"].as_array().unwrap();
        let lease = leases.iter().find(|lease| lease["name"] == name).unwrap();
        let mut roles = now["roles"].as_array().unwrap().iter();
        assert!(roles.any(|one| one["role"] == name && one["process_id"] == lease["process_id"]));
    }
    let public = http_client().get(format!("{}/api/v1/public/system", app.url)).send().await;
    let public: Value = public.unwrap().json().await.unwrap();
    assert_eq!((&public["roles_covered"], &public["engines_available"]), (&json!(6), &json!(3)));
    assert!(public.as_object().unwrap().values().all(Value::is_number), "{public}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_was_made_twice_shows_as_a_duplicate() {
    let corner = corner().await;
    let app = corner.start().await;
    let user = User::sign_up(&app.url).await;
    let target = Target::start().await;
    let monitor = quiet_monitor(&user, &target).await;
    let results = Results::of(&corner);
    let organization = user.organization.parse().unwrap();
    let until = async |recorded: i64, duplicates: i64| {
        eventually(&format!("{recorded} are recorded, {duplicates} were before"), async || {
            let jobs = system(&user).await["jobs"].clone();
            let metric = metric(&app.url, "pulsetrail_duplicate_jobs_total").await;
            let shown = jobs["recorded"] == recorded && jobs["duplicate_jobs"] == duplicates;
            (shown && metric == duplicates as f64).then_some(())
        })
        .await;
    };
    // The control: what comes once is none.
    let slot = first_slot_ms();
    results.send_result(&result_of(monitor, organization, slot)).await;
    until(2, 0).await;
    results.send_result(&result_of(monitor, organization, slot)).await;
    results.send_result(&result_of(monitor, organization, slot + 60_000)).await;
    until(3, 1).await;
    app.stop().await;
}

/// Starts a role of an installation with two regions, and waits until it is ready.
async fn role(corner: &Corner, arguments: &[&str]) -> (Child, String) {
    // A port that was free a moment ago; nobody else on this machine asks for it by number.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut command = corner.command(arguments);
    command.env("PULSETRAIL_LISTEN", free.to_string()).env("PULSETRAIL_REGIONS", "default,eu");
    let child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let url = format!("http://{free}");
    until_ready(&url).await;
    (child, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_without_a_live_prober_shows_on_its_monitors() {
    let corner = corner().await;
    let mut migrate = corner.command(["migrate"]);
    let migrated = migrate.env("PULSETRAIL_REGIONS", "default,eu").output().await.unwrap();
    assert!(migrated.status.success());
    let (_server, url) = role(&corner, &["server"]).await;
    let (_prober, _) = role(&corner, &["prober"]).await;
    let user = User::sign_up(&url).await;
    let body = json!({"url": "https://example.com", "regions": ["default", "eu"]});
    let id = user.post("/api/v1/monitors", &body).await.body["id"].as_str().unwrap().to_owned();
    let until_missing = async |regions: Value| {
        eventually(&format!("{regions} are without a prober"), async || {
            let monitor = user.get(&format!("/api/v1/monitors/{id}")).await.body;
            let listed = user.get("/api/v1/monitors").await.body;
            let same = monitor["regions_without_prober"] == regions;
            (same && listed["items"][0]["regions_without_prober"] == regions).then_some(())
        })
        .await;
    };
    until_missing(json!(["eu"])).await;
    let (mut eu, _) = role(&corner, &["prober", "--region", "eu"]).await;
    until_missing(json!([])).await;
    let region = |system: &Value| system["regions"][1].clone();
    assert_eq!(
        region(&system(&user).await),
        json!({"region": "eu", "probers": 1, "without_prober": false})
    );
    eu.kill().await.unwrap();
    until_missing(json!(["eu"])).await;
    eventually("the region shows so, too", async || {
        let gone = json!({"region": "eu", "probers": 0, "without_prober": true});
        (region(&system(&user).await) == gone).then_some(())
    })
    .await;
}
