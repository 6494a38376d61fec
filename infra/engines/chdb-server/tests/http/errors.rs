//! Exceptions and their statuses.

use super::server::{ask, post};

#[tokio::test]
async fn exceptions_have_the_status_and_the_code_of_clickhouse() {
    for (query, parameters, status, code) in [
        ("SELECT nope", &[][..], 404, "47"),
        ("SELECT * FROM nope", &[], 404, "60"),
        ("SELEC 1", &[], 400, "62"),
        ("", &[], 400, "62"),
        ("SELECT 1; SELECT 2", &[], 400, "62"),
        ("1 + 1", &[], 400, "62"),
        ("INSERT INTO FUNCTION null('a UInt8') FORMAT CSV x", &[], 400, "117"),
        ("SELECT 1", &[("no_such_setting", "1")], 404, "115"),
        ("SELECT 1", &[("database", "no_such_database")], 404, "81"),
        ("SELECT 1 FORMAT NoSuchFormat", &[], 404, "73"),
        ("SELECT 1", &[("default_format", "a b")], 400, "36"),
        ("SELECT throwIf(1)", &[], 500, "395"),
        ("CREATE DATABASE read_only", &[("readonly", "1")], 500, "164"),
    ] {
        let response = post(parameters).body(query).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{query}");
        assert_eq!(response.headers()["x-clickhouse-exception-code"], code, "{query}");
        let text = response.text().await.unwrap();
        assert!(text.starts_with(&format!("Code: {code}. DB::Exception: ")), "{text}");
        assert_eq!(text.matches("DB::Exception").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn with_wait_end_of_query_a_late_error_has_a_status() {
    let query = "SELECT throwIf(number = 3000000) FROM system.numbers LIMIT 4000000";
    let (status, text) = ask(query, &[("wait_end_of_query", "1")]).await;
    assert_eq!(status, 500);
    assert!(text.starts_with("Code: 395."), "{text}");
}

#[tokio::test]
async fn a_late_error_breaks_the_connection_off() {
    let query = "SELECT throwIf(number = 3000000) FROM system.numbers";
    let response = post(&[]).body(query).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["x-clickhouse-exception-tag"].len(), 16);
    assert!(response.bytes().await.is_err());
}
