//! Bodies that come encoded, as they should be and as bombs.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::super::body::MAX_BODY_BYTES;
use super::target::{TestTarget, read_head, serving};
use super::*;

const TEXT: &str = "all is well, all is well, and all manner of thing is well";

pub(in crate::check) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(in crate::check) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(in crate::check) fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

pub(in crate::check) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).unwrap()
}

/// Answers with a body of these bytes, again and again `repeated` where that is not empty.
async fn sending(encoding: &str, body: Vec<u8>, repeated: Vec<u8>) -> TestTarget {
    let length = match repeated.len() {
        0 => format!("content-length: {}\r\n", body.len()),
        _ => String::new(),
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\n{length}\r\n");
    serving(move |mut stream, _| {
        let start = [head.as_bytes(), &body].concat();
        let repeated = repeated.clone();
        async move {
            read_head(&mut stream).await;
            send(&mut stream, &start, &repeated).await;
        }
    })
    .await
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), start: &[u8], repeated: &[u8]) {
    let mut sent = stream.write_all(start).await;
    while sent.is_ok() && !repeated.is_empty() {
        sent = stream.write_all(repeated).await;
    }
    // The prober may have seen enough and be gone.
    let _ = stream.shutdown().await;
}

/// A check that looks at the body for [`TEXT`].
async fn looked_at(server: &TestTarget) -> CheckResult {
    let mut target = get(&url("http", server.address, "/"));
    let contains = json!([{"type": "body", "operator": "contains", "value": TEXT}]);
    target.assertions = serde_json::from_value(contains).unwrap();
    check(target).await.result
}

async fn not_looked_at(server: &TestTarget) -> CheckResult {
    check(get(&url("http", server.address, "/"))).await.result
}

#[tokio::test]
async fn an_assertion_sees_the_text_whatever_it_is_encoded_in() {
    let text = TEXT.as_bytes();
    let gzipped = gzip(text);
    let (first, second) = text.split_at(9);
    let members = [gzip(first), gzip(second)].concat();
    let brotli_in_zstd = zstd(&brotli(text));
    for (encoding, body) in [
        ("gzip", gzipped.clone()),
        ("X-GZIP", gzipped.clone()),
        ("gzip", members),
        ("deflate", zlib(text)),
        ("deflate", deflate(text)),
        ("br", brotli(text)),
        ("zstd", zstd(text)),
        ("br, zstd", brotli_in_zstd),
        ("identity", text.to_vec()),
        ("rot13", text.to_vec()),
    ] {
        let server = sending(encoding, body, Vec::new()).await;
        let result = looked_at(&server).await;
        assert_eq!(result.outcome, Outcome::Up, "{encoding}: {result:?}");
    }
    // Positive control: the encoded bytes are not the text.
    let server = sending("identity", gzipped, Vec::new()).await;
    assert_failed(&looked_at(&server).await, FailureCause::AssertionFailed);
}

#[tokio::test]
async fn an_encoding_that_is_broken_is_invalid() {
    let gzipped = gzip(TEXT.as_bytes());
    let mut altered = gzipped.clone();
    let checksum = altered.len() - 8;
    altered[checksum] ^= 1;
    // A frame that asks for a window of 128 MiB (RFC 8878, section 3.1.1.1.2).
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 0x01, 0x00, 0x00];
    for (encoding, body) in [
        ("gzip", gzipped[..gzipped.len() / 2].to_vec()),
        ("gzip", altered),
        ("gzip", TEXT.as_bytes().to_vec()),
        ("br", TEXT.as_bytes().to_vec()),
        ("zstd", TEXT.as_bytes().to_vec()),
        ("zstd", wide.to_vec()),
        ("gzip, gzip, gzip, gzip", gzipped),
    ] {
        let server = sending(encoding, body, Vec::new()).await;
        for result in [looked_at(&server).await, not_looked_at(&server).await] {
            assert_failed(&result, FailureCause::HttpInvalid);
            assert_eq!(result.http_status, Some(200));
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_encoded_one() {
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let server = sending(encoding, Vec::new(), Vec::new()).await;
        assert_eq!(not_looked_at(&server).await.outcome, Outcome::Up, "{encoding}");
    }
}

/// Bodies that are small and hold more than any memory: how each begins, and what it repeats.
fn bombs() -> [(&'static str, Vec<u8>, Vec<u8>); 3] {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    let mut flushed = [0; 2];
    for end in &mut flushed {
        deflate.write_all(&vec![0; MAX_BODY_BYTES]).unwrap();
        deflate.flush().unwrap();
        *end = deflate.get_ref().len();
    }
    // What follows the first MiB refers to zeros only, as often as it comes.
    let more = deflate.get_ref()[flushed[0]..flushed[1]].to_vec();
    let gzip_header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let begin = [&gzip_header, &deflate.get_ref()[..flushed[1]]].concat();
    // A frame with a window of 128 KiB, and blocks of one byte each that stands for 128 KiB.
    let block = vec![0x02, 0x00, 0x10, 0x00];
    let frame = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3][..], &block].concat();
    // Positive control: these are not the bytes that make a check fail as broken.
    let inner = gzip(&vec![0; 4 * MAX_BODY_BYTES]);
    let nested = gzip(&inner);
    [("gzip", begin, more), ("zstd", frame, block), ("gzip, gzip", nested, Vec::new())]
}

/// The most memory that this process ever used, in bytes.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_bomb_is_left_at_the_limit_and_takes_no_memory() {
    let before = peak_bytes();
    for (encoding, begin, repeated) in bombs() {
        let server = sending(encoding, begin, repeated).await;
        let result = looked_at(&server).await;
        assert_failed(&result, FailureCause::HttpTooLarge);
        assert!(result.timings_us.first_byte > 0 && result.http_status == Some(200));
        let result = not_looked_at(&server).await;
        assert_eq!(result.outcome, Outcome::Up, "{encoding}: {result:?}");
    }
    // Other tests run beside this one; a MiB of such a body holds a GiB and more.
    let grown = peak_bytes() - before;
    assert!(grown < 512 * 1024 * 1024, "{grown}");
}

#[tokio::test]
async fn the_limit_is_of_what_the_encoding_holds() {
    let exactly = vec![b'a'; MAX_BODY_BYTES];
    let contains = json!([{"type": "body", "operator": "not_contains", "value": "b"}]);
    for (more, cause) in [(0, None), (1, Some(FailureCause::HttpTooLarge))] {
        let body = [exactly.clone(), vec![b'a'; more]].concat();
        let server = sending("gzip", gzip(&body), Vec::new()).await;
        let mut target = get(&url("http", server.address, "/"));
        target.assertions = serde_json::from_value(contains.clone()).unwrap();
        let result = check(target).await.result;
        assert_eq!(result.failure.map(|failure| failure.cause), cause);
    }
}
