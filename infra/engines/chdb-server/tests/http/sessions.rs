//! Requests that belong together.

use super::server::ask;

#[tokio::test]
async fn a_session_keeps_temporary_tables_and_settings() {
    let session = [("session_id", "keeps")];
    assert_eq!(ask("CREATE TEMPORARY TABLE t (a UInt8)", &session).await.0, 200);
    assert_eq!(ask("INSERT INTO t VALUES (7)", &session).await.0, 200);
    assert_eq!(ask("SET max_block_size = 77", &session).await.0, 200);
    let query = "SELECT a, getSetting('max_block_size') FROM t";
    assert_eq!(ask(query, &session).await, (200, "7\t77\n".to_owned()));
    let with_setting = [("session_id", "keeps"), ("max_block_size", "5"), ("database", "system")];
    assert_eq!(ask(query, &with_setting).await, (200, "7\t5\n".to_owned()));
    assert_eq!(ask(query, &session).await, (200, "7\t77\n".to_owned()));
    assert_eq!(ask("SELECT currentDatabase()", &session).await.1, "default\n");
    assert_eq!(ask(query, &[]).await.0, 404);
}

#[tokio::test]
async fn a_session_can_be_asked_for_and_closed() {
    let check = [("session_id", "closed"), ("session_check", "1")];
    assert!(ask("SELECT 1", &check).await.1.contains("SESSION_NOT_FOUND"));
    assert_eq!(ask("SELECT 1", &[("session_id", "closed")]).await.0, 200);
    assert_eq!(ask("SELECT 1", &check).await.0, 200);
    assert_eq!(ask("SELECT 1", &[("session_id", "closed"), ("close_session", "1")]).await.0, 200);
    assert!(ask("SELECT 1", &check).await.1.contains("SESSION_NOT_FOUND"));
}

#[tokio::test]
async fn a_session_serves_one_request_at_a_time() {
    let session = [("session_id", "locked")];
    let slow = tokio::spawn(async { ask("SELECT sleep(2.5)", &[("session_id", "locked")]).await });
    let running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(2.5)%'";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while ask(running, &[]).await.1 == "0\n" {
        assert!(tokio::time::Instant::now() < deadline, "the slow query never ran");
    }
    assert!(ask("SELECT 1", &session).await.1.contains("SESSION_IS_LOCKED"));
    assert_eq!(slow.await.unwrap().0, 200);
}
