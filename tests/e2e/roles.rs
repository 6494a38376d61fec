//! Each role as a process of its own.

use std::process::Stdio;

use pulsetrail_harness::{Target, User, until_ready};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Child;

use crate::corner;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_roles_work_together_as_processes_of_their_own() {
    let corner = corner().await;
    // Before the schemas are there, a role says what to do, in one line.
    let early = corner.command(["recorder"]).output().await.unwrap();
    assert!(!early.status.success());
    let said = String::from_utf8(early.stderr).unwrap();
    assert!(said.contains("run `pulsetrail migrate` first"), "{said}");
    let migrated = corner.command(["migrate"]).output().await.unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));

    let mut processes: Vec<Child> = Vec::new();
    let mut urls = Vec::new();
    for role in ["server", "relay", "recorder", "scheduler", "projector", "prober"] {
        // A port that was free a moment ago; nobody else on this machine asks for it by number.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = corner.command([role]);
        command.env("PULSETRAIL_LISTEN", address.to_string());
        processes.push(command.stderr(Stdio::null()).spawn().unwrap());
        urls.push(format!("http://{address}"));
    }
    for url in &urls {
        until_ready(url).await;
    }

    let user = User::sign_up(&urls[0]).await;
    let target = Target::start().await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let monitor = user.watch(&target.url()).await;
    feed.until_event("CheckCompleted").await;
    target.die();
    feed.until_event("WentDown").await;
    user.until_status(&monitor, "down").await;

    for mut process in processes {
        let pid = process.id().unwrap().to_string();
        tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(process.wait().await.unwrap().success());
    }
}
