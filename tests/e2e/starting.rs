//! A start that cannot succeed says why in one line, and where.

use std::time::Duration;

use pulsetrail_harness::Corner;
use tokio::net::TcpListener;

use crate::corner;

/// Runs `pulsetrail up` with more variables, and returns what it said when it failed.
async fn refusal(corner: &Corner, variables: &[(&str, &str)]) -> String {
    let mut command = corner.command(["up"]);
    command.envs(variables.iter().copied());
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    let output = output.expect("it ends by itself").unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_unusable_setting_is_named_on_a_line_of_its_own() {
    let corner = corner().await;
    let said = refusal(
        &corner,
        &[
            ("PULSETRAIL_LISTNE", "x"),
            ("PULSETRAIL_REGIONS", "EU"),
            ("PULSETRAIL_LOG_FORMAT", "x"),
            ("PULSETRAIL_LOG", "loud"),
        ],
    )
    .await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    for name in ["LISTNE:", "REGIONS:", "LOG_FORMAT:", "LOG: must be off, error, warn, info,"] {
        let named = format!("PULSETRAIL_{name}");
        assert!(lines.iter().any(|line| line.contains(&named)), "{named} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    let corner = corner().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&corner, &[("PULSETRAIL_LISTEN", &address)]).await;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("PULSETRAIL_LISTEN") && said.contains(&address), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_does_not_answer_is_named_by_its_setting_without_its_password() {
    let corner = corner().await;
    // A port that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    for (setting, url) in [
        ("PULSETRAIL_DATABASE_URL", format!("postgres://u:hunter2@{address}/x")),
        ("PULSETRAIL_KAFKA_BROKERS", address.to_string()),
        ("PULSETRAIL_CLICKHOUSE_URL", format!("http://u:hunter2@{address}")),
    ] {
        let said = refusal(&corner, &[(setting, &url)]).await;
        let last = said.lines().last().unwrap_or_default();
        assert!(last.contains(setting) && last.contains(&address.to_string()), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_left_alone() {
    let corner = corner().await;
    let app = corner.start().await;
    assert!(app.stop().await.success());
    let store = corner.store().await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'from the future', true, '', 0)",
    )
    .execute(&store.read)
    .await
    .unwrap();
    let said = refusal(&corner, &[]).await;
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains("PULSETRAIL_DATABASE_URL") && last.contains("9999"), "{said}");
}
