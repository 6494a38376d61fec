//! The dashboard in a browser, on the real stack. Each test runs a script of `projections/dashboard/tests/`, which
//! drives Chromium; the script fails with what it saw.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::corner;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The command that runs a script against the server at `url`.
fn script(name: &str, url: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("projections/dashboard");
    let mut command = Command::new("bash");
    command
        .arg(folder.join("build.sh"))
        .args(["exec", "node"])
        .arg(folder.join("tests").join(name))
        .env("PULSETRAIL_TEST_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a script against an application of its own, and shows what it said if it fails.
async fn run(name: &str) {
    let corner = corner().await;
    let app = corner.start().await;
    let ended = tokio::time::timeout(PATIENCE, script(name, &app.url).output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("{name} took too long")).unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{name}:\n{said}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_new_sees_the_first_result_and_the_first_failure_by_themselves() {
    run("first-result.mjs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_means_harm_is_a_text_and_breaks_no_page() {
    run("hostile-names.mjs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_can_be_used_by_everybody() {
    run("accessible.mjs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_sees_no_button_that_would_be_refused_and_uptimes_are_those_of_the_interface() {
    run("viewer.mjs").await;
}
