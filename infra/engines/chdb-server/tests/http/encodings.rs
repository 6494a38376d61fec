//! Compressed bodies and answers.

use std::io::{Read, Write};

use super::server::{ask, database, post};

const QUERY: &str = "SELECT number AS a, toString(number) AS b FROM numbers(300000)";

fn expected() -> String {
    (0..300_000).map(|number| format!("{number}\t{number}\n")).collect()
}

#[tokio::test]
async fn answers_are_encoded_as_the_client_accepts() {
    for encoding in ["gzip", "deflate", "lz4", "zstd"] {
        let request = post(&[]).header("Accept-Encoding", encoding).body(QUERY);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], encoding);
        let body = response.bytes().await.unwrap();
        let mut text = String::new();
        match encoding {
            "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text),
            "deflate" => flate2::read::ZlibDecoder::new(&body[..]).read_to_string(&mut text),
            "lz4" => lz4_flex::frame::FrameDecoder::new(&body[..]).read_to_string(&mut text),
            _ => zstd::stream::read::Decoder::new(&body[..]).unwrap().read_to_string(&mut text),
        }
        .unwrap();
        assert!(text == expected(), "{encoding}");
    }
    let plain = post(&[("enable_http_compression", "0")]).header("Accept-Encoding", "gzip");
    let response = plain.body("SELECT 1").send().await.unwrap();
    assert!(!response.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn bodies_are_decoded() {
    let (_, database) = database().await;
    let in_database = [("database", database.as_str())];
    assert_eq!(
        ask("CREATE TABLE t (a UInt64, b String) ENGINE = Memory", &in_database).await.0,
        200
    );
    let rows = expected();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(rows.as_bytes()).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(rows.as_bytes()).unwrap();
    for (encoding, body) in [
        ("gzip", gzip.finish().unwrap()),
        ("lz4", lz4.finish().unwrap()),
        ("zstd", zstd::bulk::compress(rows.as_bytes(), 1).unwrap()),
    ] {
        let insert = [("database", database.as_str()), ("query", "INSERT INTO t FORMAT TSV")];
        let request = post(&insert).header("Content-Encoding", encoding).body(body);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{encoding}: {:?}", response.text().await);
    }
    assert_eq!(
        ask("SELECT count(), uniqExact(a) FROM t", &in_database).await.1,
        "900000\t300000\n"
    );
}

#[tokio::test]
async fn what_was_compressed_by_the_server_can_be_inserted_again() {
    let (_, database) = database().await;
    let in_database = [("database", database.as_str())];
    assert_eq!(
        ask("CREATE TABLE t (a UInt64, b String) ENGINE = Memory", &in_database).await.0,
        200
    );
    let select = format!("{QUERY} FORMAT Native");
    let frames =
        post(&[("compress", "1")]).body(select).send().await.unwrap().bytes().await.unwrap();
    let insert = [
        ("database", database.as_str()),
        ("query", "INSERT INTO t FORMAT Native"),
        ("decompress", "1"),
    ];
    let response = post(&insert).body(frames.clone()).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(
        ask("SELECT count(), uniqExact(b) FROM t", &in_database).await.1,
        "300000\t300000\n"
    );
    let mut broken = frames.to_vec();
    broken[40] ^= 1;
    let response = post(&insert).body(broken).send().await.unwrap();
    assert_eq!(response.headers()["x-clickhouse-exception-code"], "40");
}
