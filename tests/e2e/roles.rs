//! Each role as a process of its own.

use pulsetrail_harness::{Target, User, until_ready};
use serde_json::json;

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

    let mut processes = Vec::new();
    for role in ["server", "relay", "recorder", "scheduler", "projector", "prober"] {
        processes.push(corner.role(role).await);
    }
    for process in &processes {
        until_ready(&process.url).await;
    }

    let user = User::sign_up(&processes[0].url).await;
    let target = Target::start().await;
    let mut feed = user.live().await;
    feed.subscribe(json!("all"), None).await;
    let monitor = user.watch(&target.url()).await;
    feed.until_event("CheckCompleted").await;
    target.die();
    feed.until_event("WentDown").await;
    user.until_status(&monitor, "down").await;

    for process in processes {
        assert!(process.stop().await.success());
    }
}
