//! A start with private engines and nothing set, as of `make run` and `make demo`.

use std::path::Path;

use pulsetrail_harness::{App, eventually, http_client};
use serde_json::json;
use tokio::process::Command;

/// What tells of a machine that has much else to do, such as other tests, and of nothing else: sqlx's
/// measurements, and leases whose holder was slow.
const OF_A_SLOW_MACHINE: [&str; 3] =
    ["slow statement", "acquired connection, but time to acquire", "the lease is lost"];

/// Starts `up` with nothing set but where things are.
async fn start(data_dir: &Path, arguments: &[&str], log: &Path) -> App {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulsetrail"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("PULSETRAIL_") {
            command.env_remove(key);
        }
    }
    command
        .arg("up")
        .args(arguments)
        .env("PULSETRAIL_LISTEN", "127.0.0.1:0")
        .env("PULSETRAIL_DATA_DIR", data_dir)
        .kill_on_drop(true);
    App::start(command, log).await
}

/// The lines of the logs that warn of something.
fn warnings(logs: &[&Path]) -> Vec<String> {
    let read = |log: &&Path| std::fs::read_to_string(log).unwrap();
    let text: String = logs.iter().map(read).collect();
    let lines = text.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
    let of_the_start =
        lines.filter(|line| !OF_A_SLOW_MACHINE.iter().any(|known| line.contains(known)));
    of_the_start.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_start_warns_of_nothing_and_a_demo_leaves_nobody_in_the_installation() {
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, log) = (folder.path().join("data"), folder.path().join("up.log"));
    let sign_in = async |app: &App, password: &str| {
        let account = json!({"email": "demo@example.com", "password": password});
        let path = format!("{}/api/v1/auth/login", app.url);
        let answer = http_client().post(path).json(&account).send().await.unwrap();
        answer.status().as_u16()
    };
    let demo = start(&data_dir, &["--demo"], &log).await;
    let password = std::fs::read_to_string(data_dir.join("demo/secrets/demo-password")).unwrap();
    eventually("the sample user is there", async || {
        (sign_in(&demo, &password).await == 200).then_some(())
    })
    .await;
    assert_eq!(sign_in(&demo, "demo-password").await, 401);
    assert!(demo.stop().await.success());

    for _ in ["the first start", "the second"] {
        let app = start(&data_dir, &[], &log).await;
        assert_eq!(sign_in(&app, &password).await, 401, "the demo has data of its own");
        assert!(app.stop().await.success());
    }
    let of_prober = data_dir.join("logs/prober-default.log");
    let of_demo = data_dir.join("demo/logs/prober-default.log");
    let logs: [&Path; 3] = [&log, &of_prober, &of_demo];
    assert_eq!(warnings(&logs), Vec::<String>::new());
    // The control: what stands in a log as a warning is found.
    std::fs::write(&log, "2026-01-01T00:00:00.000000Z  WARN something\n").unwrap();
    assert_eq!(warnings(&logs).len(), 1);
}
