use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use pulsetrail_infra::engines::supervisor::{ChildSpec, Phase, Restart, Signal, supervise};

use super::support::{eventually, kill};

fn shell(directory: &Path, script: &str) -> ChildSpec {
    ChildSpec::new("shell", "sh", directory.join("shell.log")).args(["-c", script])
}

#[tokio::test]
async fn a_child_that_ends_is_started_again_and_logs_to_the_same_file() {
    let directory = tempfile::tempdir().unwrap();
    let child = supervise(shell(directory.path(), "echo started; exec sleep 1000")).await.unwrap();
    let log = directory.path().join("shell.log");
    eventually("it logged", async || fs::read_to_string(&log).unwrap() == "started\n").await;
    kill(child.pid().unwrap());
    eventually("it logged again", async || {
        fs::read_to_string(&log).unwrap() == "started\nstarted\n"
    })
    .await;
    assert_eq!(child.status().borrow().exits, 1);
    child.stop().await;
    assert_eq!(child.pid(), None);
}

#[tokio::test]
async fn a_child_that_ignores_the_stop_signal_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let spec = ChildSpec {
        stop_timeout: Duration::from_millis(100),
        ..shell(directory.path(), "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    };
    let child = supervise(spec).await.unwrap();
    let log = directory.path().join("shell.log");
    eventually("it ignores SIGTERM", async || fs::read_to_string(&log).unwrap() == "ready\n").await;
    let since = Instant::now();
    child.stop().await;
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_child_without_restart_stays_ended() {
    let directory = tempfile::tempdir().unwrap();
    let spec = ChildSpec { restart: Restart::Never, ..shell(directory.path(), "exit 3") };
    let child = supervise(spec).await.unwrap();
    child.ended().await;
    let status = *child.status().borrow();
    assert_eq!((status.phase, status.exits), (Phase::Ended, 1));
    assert_eq!(status.last_exit.and_then(|exit| exit.code()), Some(3));
}

#[tokio::test]
async fn a_dropped_child_ends() {
    let directory = tempfile::tempdir().unwrap();
    let spec =
        ChildSpec { death_signal: Signal::Terminate, ..shell(directory.path(), "exec sleep 1000") };
    let child = supervise(spec).await.unwrap();
    let mut status = child.status();
    drop(child);
    status.wait_for(|status| status.phase == Phase::Ended).await.unwrap();
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let spec = ChildSpec::new("nothing", "/nonexistent/program", directory.path().join("log"));
    assert_eq!(supervise(spec).await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_long_log_is_put_aside_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("shell.log");
    fs::write(&log, vec![b'x'; 10 * 1024 * 1024 + 1]).unwrap();
    let child = supervise(shell(directory.path(), "exec sleep 1000")).await.unwrap();
    assert_eq!(log.metadata().unwrap().len(), 0);
    assert!(directory.path().join("shell.log.1").exists());
    child.stop().await;
}
