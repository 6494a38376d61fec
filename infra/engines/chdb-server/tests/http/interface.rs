//! ClickHouse's HTTP interface, without a client library.

use super::server::{PASSWORD, ask, database, http, post, shared};

#[tokio::test]
async fn ping_wants_no_password() {
    let url = format!("{}/ping", shared().url);
    let response = http().get(&url).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.text().await.unwrap().as_str()),
        (200, "Ok.\n")
    );
    let response = http().head(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, ""));
    let response = http().get(format!("{}/nowhere", shared().url)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 404);
}

#[tokio::test]
async fn a_query_wants_the_password() {
    for (name, value) in [
        ("X-ClickHouse-Key", "wrong"),
        ("Authorization", "Basic ZGVmYXVsdDp3cm9uZw=="),
        ("X-Nothing", ""),
    ] {
        let request = http().post(&shared().url).header(name, value).body("SELECT 1");
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 403);
        assert_eq!(response.headers()["x-clickhouse-exception-code"], "516");
        assert!(response.text().await.unwrap().contains("(AUTHENTICATION_FAILED)"));
    }
    let basic = http().post(&shared().url).basic_auth("default", Some(PASSWORD)).body("SELECT 1");
    assert_eq!(basic.send().await.unwrap().text().await.unwrap(), "1\n");
}

#[tokio::test]
async fn an_answer_describes_itself() {
    let response = post(&[("query", "SELECT number FROM numbers(5)"), ("query_id", "mine")])
        .header("X-ClickHouse-Format", "JSONEachRow")
        .send()
        .await
        .unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-clickhouse-query-id"), "mine");
    assert_eq!(header("x-clickhouse-format"), "JSONEachRow");
    assert_eq!(header("content-type"), "application/x-ndjson; charset=UTF-8");
    assert!(!header("x-clickhouse-timezone").is_empty());
    assert!(response.headers().contains_key("x-clickhouse-server-display-name"));
    let summary: serde_json::Value = serde_json::from_str(&header("x-clickhouse-summary")).unwrap();
    assert_eq!((&summary["read_rows"], &summary["result_rows"]), (&"5".into(), &"5".into()));
}

#[tokio::test]
async fn a_query_can_be_in_the_url_the_body_or_both() {
    let (_, database) = database().await;
    let in_database = [("database", database.as_str())];
    let create = "CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a";
    assert_eq!(ask(create, &in_database).await, (200, String::new()));
    let insert = "INSERT INTO t FORMAT CSV\n1,\"x;y\"\n2,z\n";
    assert_eq!(ask(insert, &in_database).await, (200, String::new()));
    let both = [("database", database.as_str()), ("query", "INSERT INTO t FORMAT JSONEachRow")];
    assert_eq!(ask("{\"a\":3,\"b\":\"';'\"}", &both).await, (200, String::new()));
    assert_eq!(ask("INSERT INTO t (a, b) VALUES (4, 'v;'), (5, 'w');", &in_database).await.0, 200);
    let (status, text) = ask("SELECT * FROM t ORDER BY a FORMAT CSV", &in_database).await;
    assert_eq!(
        (status, text.as_str()),
        (200, "1,\"x;y\"\n2,\"z\"\n3,\"';'\"\n4,\"v;\"\n5,\"w\"\n")
    );
}

#[tokio::test]
async fn an_insert_tells_how_much_it_wrote() {
    let (_, database) = database().await;
    let in_database = [("database", database.as_str())];
    assert_eq!(ask("CREATE TABLE t (a UInt8) ENGINE = Memory", &in_database).await.0, 200);
    let request = post(&in_database).body("INSERT INTO t VALUES (1), (2), (3)");
    let response = request.send().await.unwrap();
    let summary = response.headers()["x-clickhouse-summary"].to_str().unwrap();
    let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    assert_eq!(summary["written_rows"], "3");
}

#[tokio::test]
async fn settings_hold_for_one_request() {
    let query = "SELECT getSetting('max_block_size')";
    assert_eq!(ask(query, &[("max_block_size", "123")]).await, (200, "123\n".to_owned()));
    assert_ne!(ask(query, &[]).await.1, "123\n");
}

#[tokio::test]
async fn parameters_fill_placeholders() {
    let query = "SELECT {a: UInt8} + 1, {b: Array(String)}, {c: Nullable(String)}";
    let values = [("param_a", "41"), ("param_b", "['x;', 'y\\'']"), ("param_c", "\\N")];
    assert_eq!(ask(query, &values).await, (200, "42\t['x;','y\\'']\t\\N\n".to_owned()));
}

#[tokio::test]
async fn a_form_carries_query_and_parameters() {
    let boundary = "boundary";
    let field = |name: &str, value: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let body = field("query", "SELECT {x: String}, getSetting('max_threads')")
        + &field("param_x", "a;b")
        + &field("max_threads", "3")
        + &format!("--{boundary}--\r\n");
    let response = post(&[])
        .header("Content-Type", format!("multipart/form-data; boundary={boundary}"))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "a;b\t3\n");
}

#[tokio::test]
async fn every_format_is_one_document() {
    let query = "SELECT number FROM numbers(200000)";
    let small_blocks = |format| [("max_block_size", "1000"), ("default_format", format)];
    let (_, json) = ask(query, &small_blocks("JSON")).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["rows"], json["data"].as_array().unwrap().len()), (&200_000.into(), 200_000));
    let (_, csv) = ask(query, &small_blocks("CSVWithNames")).await;
    assert_eq!((csv.lines().count(), csv.matches("number").count()), (200_001, 1));
    let totals =
        "SELECT number % 2 AS n, count() FROM numbers(10) GROUP BY n WITH TOTALS ORDER BY n";
    assert_eq!(ask(totals, &[]).await.1, "0\t5\n1\t5\n\n0\t10\n");
    let (_, empty) = ask("SELECT 1 AS a WHERE 0", &small_blocks("TSVWithNamesAndTypes")).await;
    assert_eq!(empty, "a\nUInt8\n");
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let get = |query: &str| {
        http()
            .get(format!("{}/?query={}", shared().url, super::server::escape(query)))
            .header("X-ClickHouse-Key", PASSWORD)
            .send()
    };
    let response = get("SELECT 1 SETTINGS max_threads = 1").await.unwrap();
    assert_eq!(response.text().await.unwrap(), "1\n");
    let response = get("CREATE DATABASE made_by_get").await.unwrap();
    assert_eq!(response.headers()["x-clickhouse-exception-code"], "164");
}
