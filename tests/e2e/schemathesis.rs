//! The running server against its own OpenAPI document, as Schemathesis sees it.

use std::path::PathBuf;

use pulsetrail_harness::{App, User};
use tokio::process::Command;

use crate::corner;

/// What `make engines` installs.
fn schemathesis() -> PathBuf {
    let script = include_str!("../../infra/engines/schemathesis.sh");
    let version = script.lines().find_map(|line| line.strip_prefix("schemathesis_version="));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache"));
    let program = cache
        .join(format!("pulsetrail/schemathesis-{}", version.unwrap()))
        .join("bin/schemathesis");
    assert!(program.exists(), "{} is missing: run `make engines`", program.display());
    program
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
    // A session that may end.
    let other = User::sign_up(&app.url).await;
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/schemathesis.toml");
    let run = Command::new(program)
        .args(["--config-file", config, "run", &format!("{}/api/openapi.json", app.url)])
        .args(["--header", &format!("Authorization: Bearer {}", user.token)])
        .env("LOGOUT_TOKEN", &other.token)
        .args(["--max-examples", "10", "--seed", "1", "--continue-on-failure", "--no-color"])
        .args(["--suppress-health-check", "all", "--generation-database", "none"])
        .current_dir(corner.data_dir.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("Stateful"), "{said}");
}
