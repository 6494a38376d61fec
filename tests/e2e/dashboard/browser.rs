//! The dashboard in a browser, on the real stack. Each test runs a script of `projections/dashboard/tests/`, which
//! drives Chromium; the script fails with what it saw.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use pulsetrail_harness::App;
use tokio::process::Command;

use crate::corner;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// Runs a script against an application, and shows what it said if it fails.
async fn run(script: &str, app: &App) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("projections/dashboard");
    let script_ended = Command::new("bash")
        .arg(folder.join("build.sh"))
        .args(["exec", "node"])
        .arg(folder.join("tests").join(script))
        .env("PULSETRAIL_TEST_URL", &app.url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, script_ended).await;
    let ended = ended.unwrap_or_else(|_| panic!("{script} took too long")).unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{script}:\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_new_sees_the_first_result_and_the_first_failure_by_themselves() {
    let corner = corner().await;
    let app = corner.start().await;
    run("first-result.mjs", &app).await;
    app.stop().await;
}
