//! What the `clickhouse` crate does.

use std::time::Duration;

use clickhouse::sql::Identifier;
use clickhouse::{Compression, Row};
use serde::{Deserialize, Serialize};

use super::server::{database, shared};

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Check {
    id: u64,
    name: String,
    #[serde(with = "clickhouse::serde::uuid")]
    check_id: uuid::Uuid,
    regions: Vec<String>,
    note: Option<String>,
}

fn check(id: u64) -> Check {
    Check {
        id,
        name: format!("semi;colon '{id}' \\ \u{0}\n"),
        check_id: uuid::Uuid::from_u128(u128::from(id) << 64 | 0x3b3b),
        regions: vec!["a;".to_owned(); (id % 3) as usize],
        note: id.is_multiple_of(2).then(|| "even".to_owned()),
    }
}

async fn table(client: &clickhouse::Client) {
    client
        .query(
            "CREATE TABLE checks (id UInt64, name String, check_id UUID, regions Array(String),
             note Nullable(String)) ENGINE = MergeTree ORDER BY id",
        )
        .execute()
        .await
        .unwrap();
}

async fn round_trip(client: clickhouse::Client, rows: u64) {
    table(&client).await;
    let mut insert = client.insert::<Check>("checks").await.unwrap();
    for id in 0..rows {
        insert.write(&check(id)).await.unwrap();
    }
    insert.end().await.unwrap();
    let read =
        client.query("SELECT ?fields FROM checks ORDER BY id").fetch_all::<Check>().await.unwrap();
    assert_eq!(read.len() as u64, rows);
    for (id, row) in (0..).zip(read) {
        assert_eq!(row, check(id));
    }
}

#[tokio::test]
async fn rows_come_back_as_they_were_inserted() {
    let (client, _) = database().await;
    round_trip(client.with_compression(Compression::None), 200_000).await;
}

#[tokio::test]
async fn compressed_rows_come_back_as_they_were_inserted() {
    let (client, _) = database().await;
    round_trip(client.with_compression(Compression::Lz4), 200_000).await;
}

#[tokio::test]
async fn rows_are_read_without_validation_too() {
    let (client, _) = database().await;
    round_trip(client.with_validation(false), 10).await;
}

#[tokio::test]
async fn an_inserter_writes_in_several_inserts() {
    let (client, _) = database().await;
    table(&client).await;
    let mut inserter = client.inserter::<Check>("checks").with_max_rows(100);
    for id in 0..1000 {
        inserter.write(&check(id)).await.unwrap();
        inserter.commit().await.unwrap();
    }
    inserter.end().await.unwrap();
    let (count, parts) = client
        .query("SELECT count(), uniq(_part) FROM checks")
        .fetch_one::<(u64, u64)>()
        .await
        .unwrap();
    assert_eq!(count, 1000);
    assert!(parts >= 1);
}

#[tokio::test]
async fn values_are_bound_by_the_client_and_by_the_server() {
    let (client, _) = database().await;
    let text = "it's; \\ \"quoted\"\n\t`";
    let bound = client.query("SELECT ?").bind(text).fetch_one::<String>().await.unwrap();
    let parameter = client
        .query("SELECT {text: String}")
        .param("text", text)
        .fetch_one::<String>()
        .await
        .unwrap();
    assert_eq!((bound.as_str(), parameter.as_str()), (text, text));
    let name = "odd `name`; --";
    client
        .query("CREATE TABLE ? (a UInt8) ENGINE = Memory")
        .bind(Identifier(name))
        .execute()
        .await
        .unwrap();
    let tables = client
        .query("SELECT name FROM system.tables WHERE database = currentDatabase()")
        .fetch_all::<String>()
        .await
        .unwrap();
    assert_eq!(tables, [name]);
}

#[tokio::test]
async fn an_error_in_a_query_reaches_the_client() {
    let (client, _) = database().await;
    let error = client.query("SELECT * FROM nowhere").fetch_all::<u8>().await.unwrap_err();
    assert!(error.to_string().contains("UNKNOWN_TABLE"), "{error}");
}

#[tokio::test]
async fn an_error_in_the_midst_of_an_answer_reaches_the_client() {
    for compression in [Compression::None, Compression::Lz4] {
        let client = shared().client().with_compression(compression);
        let mut cursor = client
            .query("SELECT throwIf(number = 3000000, 'on purpose') FROM system.numbers")
            .fetch::<u8>()
            .unwrap();
        let mut rows = 0_u64;
        let error = loop {
            match cursor.next().await {
                Ok(Some(_)) => rows += 1,
                Ok(None) => panic!("the answer ended without an error after {rows} rows"),
                Err(error) => break error,
            }
        };
        assert!(rows > 0, "nothing was streamed");
        assert!(error.to_string().contains("on purpose"), "{error}");
    }
}

#[tokio::test]
async fn a_large_answer_is_streamed_and_its_query_stops_with_the_client() {
    let client = shared().client();
    let mut cursor = client.query("SELECT number FROM system.numbers").fetch::<u64>().unwrap();
    for number in 0..1_000_000 {
        assert_eq!(cursor.next().await.unwrap(), Some(number));
    }
    drop(cursor);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let running = "SELECT count() FROM system.processes WHERE query LIKE '%FROM system.numbers'";
    while client.query(running).fetch_one::<u64>().await.unwrap() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "the query still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn requests_run_side_by_side() {
    let client = shared().client();
    let started = tokio::time::Instant::now();
    let sleeps = (0..8).map(|_| {
        let client = client.clone();
        tokio::spawn(
            async move { client.query("SELECT sleep(1)").fetch_one::<u8>().await.unwrap() },
        )
    });
    for sleep in sleeps.collect::<Vec<_>>() {
        sleep.await.unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}
