//! The prober beside curl on answers in HTTP/2, frame by frame (RFC 9113), over TLS.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::super::http2::over_tls;
use super::super::tls::{Authority, check_trusting};
use super::*;

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Flags of frames.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// `:status` 200, 404 and 500, as entries of HPACK's static table (RFC 7541, appendix A).
const OK: &[u8] = &[0x88];
const NOT_FOUND: &[u8] = &[0x8d];
const ERROR: &[u8] = &[0x8e];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal header field without indexing (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

fn head(flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, 1, block)
}

fn data(flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, flags, 1, bytes)
}

fn reset(code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &code.to_be_bytes())
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// Every case: what the server sends when it has read the request, before it closes the connection.
fn cases() -> Vec<(String, Vec<u8>)> {
    let answer = || [head(0, OK), data(END_STREAM, b"well")].concat();
    let with = |fields: &[u8]| head(END_STREAM, &[OK, fields].concat());
    let of_length = |length: &str| {
        [head(0, &[OK, &field("content-length", length)].concat()), data(END_STREAM, b"well")]
            .concat()
    };
    let mut padded = vec![3];
    padded.extend_from_slice(b"well\0\0\0");
    let large = [OK, &field("x-large", &"a".repeat(100))].concat();
    let promise = [&2_u32.to_be_bytes()[..], &[0x82, 0x86, 0x84]].concat();
    let mut cases: Vec<(String, Vec<u8>)> = [
        ("good", answer()),
        ("without a body", head(END_STREAM, OK)),
        ("404", head(END_STREAM, NOT_FOUND)),
        ("500", [head(0, ERROR), data(END_STREAM, b"oops")].concat()),
        ("nothing", Vec::new()),
        ("end at an empty frame", [head(0, OK), data(0, b"well"), data(END_STREAM, b"")].concat()),
        ("a body that does not end", [head(0, OK), data(0, b"well")].concat()),
        ("a head that does not end", frame(HEADERS, 0, 1, OK)),
        (
            "a head in two frames",
            [
                frame(HEADERS, END_STREAM, 1, OK),
                frame(CONTINUATION, END_HEADERS, 1, &field("x", "y")),
            ]
            .concat(),
        ),
        (
            "a head in two frames with another between",
            [
                frame(HEADERS, END_STREAM, 1, OK),
                frame(PING, 0, 0, &[0; 8]),
                frame(CONTINUATION, END_HEADERS, 1, &field("x", "y")),
            ]
            .concat(),
        ),
        ("a frame that is cut", answer()[..12].to_vec()),
        ("padding", [head(0, OK), data(PADDED | END_STREAM, &padded)].concat()),
        ("more padding than frame", [head(0, OK), data(PADDED | END_STREAM, &[9, 1])].concat()),
        (
            "trailers",
            [head(0, OK), data(0, b"well"), head(END_STREAM, &field("x-sum", "1"))].concat(),
        ),
        (
            "trailers that do not end the stream",
            [head(0, OK), data(0, b"well"), head(0, &field("x-sum", "1"))].concat(),
        ),
        ("trailers with a status", [head(0, OK), data(0, b"well"), head(END_STREAM, OK)].concat()),
        ("103 before", [head(0, &[0x08, 3, b'1', b'0', b'3']), answer()].concat()),
        ("100 alone", head(END_STREAM, &[0x08, 3, b'1', b'0', b'0'])),
        ("101", [head(0, &[0x08, 3, b'1', b'0', b'1']), answer()].concat()),
        ("data before the head", [data(0, b"well"), answer()].concat()),
        ("data behind the end", [answer(), data(0, b"more")].concat()),
        ("a length that is right", of_length("4")),
        ("a length that is too small", of_length("3")),
        ("a length that is too large", of_length("5")),
        ("a length that is none", of_length("x")),
        ("a length of nothing", with(&field("content-length", "0"))),
        ("a length without a body", with(&field("content-length", "4"))),
        ("no status", head(END_STREAM, &field("x", "y"))),
        ("two statuses", head(END_STREAM, &[OK, NOT_FOUND].concat())),
        ("a status behind a field", head(END_STREAM, &[&field("x", "y"), OK].concat())),
        ("a status that is none", head(END_STREAM, &[0x08, 3, b'a', b'b', b'c'])),
        ("a status of two digits", head(END_STREAM, &[0x08, 2, b'2', b'0'])),
        ("a pseudo field that is unknown", with(&field(":x", "y"))),
        ("a pseudo field of requests", with(&field(":path", "/"))),
        ("a name in upper case", with(&field("X-Upper", "y"))),
        ("a name with a space", with(&field("x y", "z"))),
        ("an empty name", with(&field("", "y"))),
        ("a line feed in a value", with(&field("x", "a\nb"))),
        ("a NUL in a value", with(&field("x", "a\0b"))),
        ("a space around a value", with(&field("x", " y "))),
        ("bytes that are no text in a value", with(&[0, 1, b'x', 1, 0xff])),
        ("connection", with(&field("connection", "close"))),
        ("transfer-encoding", with(&field("transfer-encoding", "chunked"))),
        ("upgrade", with(&field("upgrade", "h2c"))),
        ("an index of HPACK that is not there", head(END_STREAM, &[0x88, 0xff, 0x7f])),
        ("a string of HPACK that is cut", head(END_STREAM, &[0x88, 0, 5, b'x'])),
        ("many fields", with(&field("x", "y").repeat(90))),
        ("a large field", head(END_STREAM, &large)),
        (
            "a redirect",
            head(
                END_STREAM,
                &[&[0x08, 3, b'3', b'0', b'2'][..], &field("location", "/elsewhere")].concat(),
            ),
        ),
        ("a ping before", [frame(PING, 0, 0, &[1; 8]), answer()].concat()),
        ("a ping of seven bytes", [frame(PING, 0, 0, &[1; 7]), answer()].concat()),
        ("a ping on a stream", [frame(PING, 0, 1, &[1; 8]), answer()].concat()),
        ("a frame of an unknown type", [frame(0xaa, 0, 0, b"grease"), answer()].concat()),
        ("a priority", [frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]), answer()].concat()),
        (
            "a window that grows by nothing",
            [frame(WINDOW_UPDATE, 0, 0, &[0; 4]), answer()].concat(),
        ),
        (
            "a window that grows too far",
            [frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()), answer()].concat(),
        ),
        ("a push", [frame(PUSH_PROMISE, END_HEADERS, 1, &promise), answer()].concat()),
        ("settings again", [frame(SETTINGS, 0, 0, &[]), answer()].concat()),
        ("settings of a bad length", [frame(SETTINGS, 0, 0, &[0, 1]), answer()].concat()),
        (
            "settings that are unknown",
            [frame(SETTINGS, 0, 0, &[0xfa, 0xfa, 0, 0, 0, 1]), answer()].concat(),
        ),
        (
            "a frame size beyond all",
            [frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]), answer()].concat(),
        ),
        ("data on no stream", [frame(DATA, 0, 0, b"well"), answer()].concat()),
        ("data on another stream", [frame(DATA, 0, 3, b"well"), answer()].concat()),
        ("a head on another stream", [frame(HEADERS, END_HEADERS, 3, OK), answer()].concat()),
        ("a frame beyond the size", [head(0, OK), data(END_STREAM, &[b'a'; 20_000])].concat()),
        ("an answer in HTTP/1.1", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("reset behind the end", [answer(), reset(0)].concat()),
        ("reset behind the end, as an error", [answer(), reset(2)].concat()),
        ("goaway before, of later streams", [goaway(1, 0), answer()].concat()),
        ("goaway before, of all streams", [goaway(0, 0), answer()].concat()),
        ("goaway behind", [answer(), goaway(1, 0)].concat()),
        ("goaway behind, as an error", [answer(), goaway(1, 11)].concat()),
        (
            "goaway in the body",
            [head(0, OK), data(0, b"we"), goaway(1, 0), data(END_STREAM, b"ll")].concat(),
        ),
        ("goaway in the body, as an error", [head(0, OK), data(0, b"we"), goaway(1, 2)].concat()),
    ]
    .into_iter()
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .collect();
    for code in [0, 1, 2, 3, 5, 7, 8, 11, 12, 99] {
        cases.push((format!("reset at once with {code}"), reset(code)));
        let in_body = [head(0, OK), data(0, b"we"), reset(code)].concat();
        cases.push((format!("reset in the body with {code}"), in_body));
    }
    for code in [0, 1, 2, 11] {
        cases.push((format!("goaway at once with {code}"), goaway(0, code)));
    }
    cases
}

/// Reads the preface and the frames of a client up to the head of its request.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    loop {
        let mut start = [0; 9];
        stream.read_exact(&mut start).await?;
        let length =
            usize::from(start[0]) << 16 | usize::from(start[1]) << 8 | usize::from(start[2]);
        stream.read_exact(&mut vec![0; length]).await?;
        if start[3] == HEADERS {
            return Ok(());
        }
    }
}

async fn server(authority: &Authority, bytes: Vec<u8>) -> TestTarget {
    let bytes = Arc::new(bytes);
    over_tls(authority, &["h2"], move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            let settings = [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 1, 0, &[])].concat();
            let _ = stream.write_all(&settings).await;
            if read_request(&mut stream).await.is_ok() {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                // A socket that closes with unread bytes resets what it sent.
                let drained =
                    async { while matches!(stream.read(&mut [0; 512]).await, Ok(1..)) {} };
                let _ = tokio::time::timeout(Duration::from_millis(50), drained).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_prober_and_curl_come_to_the_same_verdict_of_http2() {
    let authority = Authority::new("an authority");
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.pem()).unwrap();
    let cases = cases();
    let judged = async |(name, bytes): (String, Vec<u8>)| {
        let server = server(&authority, bytes).await;
        let mut curl = super::curl();
        curl.arg("--http2").arg("--cacert").arg(&roots).arg(url("https", server.address, "/"));
        let (result, theirs) =
            tokio::join!(check_trusting(&authority, &server), super::verdict_of(curl));
        (name, super::verdict(&result), theirs)
    };
    let count = cases.len();
    let verdicts = stream::iter(cases).map(judged).buffer_unordered(AT_ONCE);
    let (up, found) = differences(verdicts.collect().await);
    // Positive control: the corpus has both good and bad answers in numbers.
    assert!(up >= 20 && count - up >= 20, "{up} of {} are up", count);
    compare(&found, known::OF_HTTP2);
}
