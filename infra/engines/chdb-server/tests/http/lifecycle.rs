//! Start, stop, kill.

use std::process::Command;

use clickhouse::Row;
use serde::Serialize;

use super::server::Server;

#[derive(Row, Serialize)]
struct Number {
    a: u64,
}

async fn insert(
    client: &clickhouse::Client,
    range: std::ops::Range<u64>,
) -> clickhouse::error::Result<()> {
    let mut insert = client.insert::<Number>("t").await?;
    for a in range {
        insert.write(&Number { a }).await?;
    }
    insert.end().await
}

async fn create(client: &clickhouse::Client) {
    let query = "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a";
    client.query(query).execute().await.unwrap();
}

async fn count(client: &clickhouse::Client) -> u64 {
    client.query("SELECT uniqExact(a) FROM t").fetch_one().await.unwrap()
}

#[tokio::test]
async fn a_terminated_server_ends_cleanly_and_its_rows_are_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path());
    let client = server.client();
    create(&client).await;
    insert(&client, 0..1000).await.unwrap();
    let slow = tokio::spawn(client.query("SELECT sleep(1)").fetch_one::<u8>());
    while client
        .query("SELECT count() FROM system.processes WHERE query LIKE '%sleep(1)%' AND query NOT LIKE '%processes%'")
        .fetch_one::<u64>()
        .await
        .unwrap()
        == 0
    {}
    server.signal("-TERM");
    assert!(server.wait().success());
    slow.await.unwrap().expect("a running request is let end");
    let server = Server::start(directory.path());
    assert_eq!(count(&server.client()).await, 1000);
}

#[tokio::test]
async fn a_killed_server_loses_no_acknowledged_row() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..3 {
        let mut server = Server::start(directory.path());
        let client = server.client();
        if round == 0 {
            create(&client).await;
        }
        assert!(count(&client).await >= expected, "rows are lost");
        let inserting = client.clone();
        let (sender, mut acknowledged) = tokio::sync::watch::channel(expected);
        let inserts = tokio::spawn(async move {
            let mut next = expected;
            while insert(&inserting, next..next + 100).await.is_ok() {
                next += 100;
                sender.send_replace(next);
            }
            next
        });
        let target = expected + 1000;
        acknowledged.wait_for(|next| *next >= target).await.unwrap();
        server.signal("-KILL");
        server.wait();
        expected = inserts.await.unwrap();
    }
    let spool = directory.path().join("chdb-server/spool");
    let server = Server::start(directory.path());
    assert!(count(&server.client()).await >= expected);
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0, "spooled rows are left");
}

#[tokio::test]
async fn an_insert_that_breaks_off_inserts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let client = server.client().with_compression(clickhouse::Compression::None);
    create(&client).await;
    let spool = directory.path().join("chdb-server/spool");
    let spooled = || std::fs::read_dir(&spool).unwrap().count();
    let mut broken = client.insert::<Number>("t").await.unwrap();
    for a in 0..500_000 {
        broken.write(&Number { a }).await.unwrap();
    }
    eventually(|| spooled() == 1).await;
    drop(broken);
    eventually(|| spooled() == 0).await;
    assert_eq!(count(&client).await, 0);
}

async fn eventually(condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "it did not happen in time");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn an_address_of_the_network_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chdb-server"))
        .args(["--listen", "0.0.0.0:0", "--library", "/nowhere", "--path"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a loopback address"));
}

#[test]
fn a_missing_library_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chdb-server"))
        .args(["--listen", "127.0.0.1:0", "--library", "/nowhere/libchdb.so", "--path"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/libchdb.so"));
}
