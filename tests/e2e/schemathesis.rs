//! The running server against its own OpenAPI document, as Schemathesis sees it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pulsetrail_harness::{App, Corner, User, eventually};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::corner;
use crate::recording::{Results, result_of};

/// What `make test` installs.
fn schemathesis() -> PathBuf {
    let script = include_str!("../../infra/engines/schemathesis.sh");
    let version = script.lines().find_map(|line| line.strip_prefix("schemathesis_version="));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"));
    let program = cache
        .join(format!("pulsetrail/schemathesis-{}", version.unwrap()))
        .join("bin/schemathesis");
    assert!(program.exists(), "{} is missing: run `make test`", program.display());
    program
}

/// What operations need that none of them gives: people who may leave, another member, the token of a
/// heartbeat, an annotation, a message at fault. As variables of the environment, which the configuration names.
async fn belongings(corner: &Corner, user: &User) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut all = Vec::new();
    for variable in ["LEAVING_TOKEN", "CHANGING_TOKEN", "VANISHING_TOKEN"] {
        all.push((variable, User::sign_up(&user.url).await.token));
    }
    let member = User::sign_up(&user.url).await;
    let person = member.get("/api/v1/me").await.body["user"].clone();
    let invitation = json!({"email": person["email"], "role": "viewer"});
    let invitation = user.post("/api/v1/invitations", &invitation).await.body;
    let accept = json!({"token": invitation["token"]});
    assert_eq!(member.post("/api/v1/invitations/accept", &accept).await.status, 200);
    all.push(("MEMBER_ID", text(&person["id"])));
    let heartbeat = json!({"name": "backup", "target": {"type": "heartbeat", "grace_seconds": 60}});
    let reported = user.post("/api/v1/monitors", &heartbeat).await.body;
    let path = text(&reported["heartbeat_path"]);
    all.push(("HEARTBEAT_TOKEN", path.strip_prefix("/hb/").unwrap().to_owned()));
    // Another one: a new token ends the one before.
    let other = user.post("/api/v1/monitors", &heartbeat).await.body;
    all.push(("HEARTBEAT_ID", text(&other["id"])));
    let span =
        json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "kind": "note"});
    let annotations = format!("/api/v1/monitors/{}/annotations", text(&other["id"]));
    let annotation = user.post(&annotations, &span).await.body;
    all.push(("ANNOTATION_ID", text(&annotation["id"])));
    let (monitor, organization) = (text(&other["id"]).parse().unwrap(), user.organization.parse());
    let mut malformed = serde_json::to_value(result_of(monitor, organization.unwrap(), 0)).unwrap();
    malformed["surprise"] = json!(1);
    Results::of(corner).send(&monitor.to_string(), malformed.to_string().as_bytes()).await;
    let letter = eventually("the message is set aside", async || {
        let letters = user.get("/api/v1/dead-letters").await.body;
        letters["items"][0]["id"].as_str().map(str::to_owned)
    });
    all.push(("DEAD_LETTER_ID", letter.await));
    all
}

/// The operations of the document that were never carried out, out of a record of all requests.
fn never_done(document: &Value, record: &Value) -> BTreeSet<String> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            operations.push((method.to_uppercase(), path.split('/').collect::<Vec<_>>(), name));
        }
    }
    // Where two paths fit, it is the one with fewer parameters.
    operations.sort_by_key(|(_, path, _)| path.iter().filter(|part| part.starts_with('{')).count());
    let mut never: BTreeSet<String> = operations.iter().map(|one| one.2.to_owned()).collect();
    for entry in record["log"]["entries"].as_array().unwrap() {
        let url = Url::parse(entry["request"]["url"].as_str().unwrap()).unwrap();
        let asked: Vec<&str> = url.path().split('/').collect();
        let fits = |path: &[&str]| {
            let mut pairs = path.iter().zip(&asked);
            path.len() == asked.len() && pairs.all(|(one, at)| one.starts_with('{') || one == at)
        };
        let method = entry["request"]["method"].as_str().unwrap();
        let operation = operations.iter().find(|one| one.0 == method && fits(&one.1));
        if let (Some(200..300), Some(operation)) = (entry["response"]["status"].as_u64(), operation)
        {
            never.remove(operation.2);
        }
    }
    never
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_does_what_its_document_says() {
    let program = schemathesis();
    let corner = corner().await;
    let mut command = corner.command(["up"]);
    for limit in ["ATTEMPTS", "SIGN_INS", "KEY_REQUESTS"] {
        command.env(format!("PULSETRAIL_{limit}_PER_MINUTE"), "100000");
    }
    let app = App::start(command, &corner.data_dir.path().join("test.log")).await;
    let user = User::sign_up(&app.url).await;
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/schemathesis.toml");
    let run = Command::new(program)
        .args(["--config-file", config, "run", &format!("{}/api/openapi.json", app.url)])
        .args(["--header", &format!("Authorization: Bearer {}", user.token)])
        .envs(belongings(&corner, &user).await)
        .args(["--max-examples", "10", "--seed", "1", "--continue-on-failure", "--no-color"])
        .args(["--suppress-health-check", "all", "--generation-database", "none"])
        .args(["--report", "har", "--report-har-path", "record.har"])
        .current_dir(corner.data_dir.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(&format!("✅ {phase}")), "{phase}: {said}");
    }

    // It was let in all the time, and got somewhere with each operation but a WebSocket, which is none of
    // its business, and an invitation, whose token it would have to give to somebody else.
    assert_eq!(user.get("/api/v1/me").await.status, 200);
    let record = std::fs::read_to_string(corner.data_dir.path().join("record.har")).unwrap();
    let mut record: Value = serde_json::from_str(&record).unwrap();
    let document = user.get("/api/openapi.json").await.body;
    let never = never_done(&document, &record);
    assert_eq!(never, ["acceptInvitation", "connectLive"].map(str::to_owned).into());
    // One that is always refused would be seen.
    for entry in record["log"]["entries"].as_array_mut().unwrap() {
        if entry["request"]["url"].as_str().unwrap().ends_with("/api/v1/egress/policy") {
            entry["response"]["status"] = json!(404);
        }
    }
    assert!(never_done(&document, &record).contains("showEgressPolicy"));
}
