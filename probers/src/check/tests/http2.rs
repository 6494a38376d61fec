//! Targets that speak HTTP/2.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use ::http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pulsetrail_domain::check::HttpVersion;
use pulsetrail_domain::monitor::{HttpMethod, HttpVersions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::super::exchange::{MAX_HEADER_BYTES, MAX_HEADER_FIELDS};
use super::target::{TestTarget, serving, write_and_close};
use super::tls::{Authority, check_trusting};
use super::*;

const BOTH: [&str; 2] = ["h2", "http/1.1"];

/// Does with each TLS connection what `serve` says.
pub(super) async fn over_tls<F, S>(
    authority: &Authority,
    protocols: &[&str],
    serve: F,
) -> TestTarget
where
    F: Fn(TlsStream<TcpStream>) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let acceptor = authority.acceptor(protocols);
    serving(move |stream, _| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}

type Answer = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>>;

fn plain(text: &'static str) -> Answer {
    Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync())
}

/// Answers each request in the version that was agreed on.
async fn answering<F, S>(authority: &Authority, protocols: &[&str], answer: F) -> TestTarget
where
    F: Fn(Request<Incoming>) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = Answer> + Send + 'static,
{
    over_tls(authority, protocols, move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let executor = TokioExecutor::new();
            let mut server = hyper_util::server::conn::auto::Builder::new(executor);
            server.http2().max_header_list_size(u32::MAX);
            // The prober breaks off when it has seen enough.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

/// What a server saw of a request.
#[derive(Debug)]
struct Seen {
    version: Version,
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_chooses_it() {
    let authority = Authority::new("an authority");
    for (protocols, version, told) in [
        (&BOTH[..], Version::HTTP_2, Some(HttpVersion::Http2)),
        (&BOTH[1..], Version::HTTP_11, None),
        (&[][..], Version::HTTP_11, None),
    ] {
        let seen = Arc::new(Mutex::new(None));
        let note = Arc::clone(&seen);
        let server = answering(&authority, protocols, move |request| {
            let note = Arc::clone(&note);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (version, uri) = (head.version, head.uri.to_string());
                let (method, headers) = (head.method, head.headers);
                *note.lock().unwrap() = Some(Seen { version, method, uri, headers, body });
                plain("hello")
            }
        })
        .await;
        let mut target = get(&url("https", server.address, "/a%20b?c=d"));
        target.method = HttpMethod::Post;
        target.body = Some("a question".to_owned());
        target.headers.insert("X-Mine".to_owned(), "yes".to_owned());
        target.headers.insert("Keep-Alive".to_owned(), "timeout=5".to_owned());
        target.assertions = serde_json::from_value(serde_json::json!([
            {"type": "body", "operator": "equals", "value": "hello"}
        ]))
        .unwrap();
        let result = checker_trusting(authority.roots()).run(&job(target)).await.result;
        assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)), "{result:?}");
        assert_eq!(result.findings.and_then(|findings| findings.http_version), told);
        let timings = result.timings_us;
        assert!(timings.connect > 0 && timings.tls > 0 && timings.first_byte > 0, "{timings:?}");
        let seen = seen.lock().unwrap().take().unwrap();
        assert_eq!((seen.version, seen.method), (version, Method::POST));
        assert_eq!(
            (&seen.body[..], &seen.headers["x-mine"]),
            (&b"a question"[..], &"yes".parse().unwrap())
        );
        if version == Version::HTTP_2 {
            assert_eq!(seen.uri, url("https", server.address, "/a%20b?c=d"));
            assert_eq!(seen.headers.get("keep-alive"), None);
        } else {
            assert_eq!(seen.uri, "/a%20b?c=d");
        }
    }
}

#[tokio::test]
async fn the_header_host_is_the_authority_of_http2() {
    let authority = Authority::new("an authority");
    let server = answering(&authority, &BOTH, |request| async move {
        let named = request.uri().authority().is_some_and(|authority| authority == "other.example");
        assert_eq!(request.headers().get("host"), None);
        plain(if named { "yes" } else { "no" })
    })
    .await;
    let mut target = get(&url("https", server.address, "/"));
    target.headers.insert("Host".to_owned(), "other.example".to_owned());
    let assertion = serde_json::json!([{"type": "body", "operator": "equals", "value": "yes"}]);
    target.assertions = serde_json::from_value(assertion).unwrap();
    let result = checker_trusting(authority.roots()).run(&job(target)).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
}

#[tokio::test]
async fn each_hop_of_http2_is_a_connection_of_its_own() {
    let authority = Authority::new("an authority");
    let server = answering(&authority, &BOTH, |request| async move {
        let mut answer = plain("");
        if request.uri().path() == "/" {
            *answer.status_mut() = StatusCode::FOUND;
            answer.headers_mut().insert("location", "/end".parse().unwrap());
        }
        answer
    })
    .await;
    let result = check_trusting(&authority, &server).await;
    assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)), "{result:?}");
    assert_eq!(server.connections(), 2);
}

async fn check_within(authority: &Authority, server: &TestTarget, timeout_ms: u32) -> CheckResult {
    let job = Job { timeout_ms, ..job(get(&url("https", server.address, "/"))) };
    checker_trusting(authority.roots()).run(&job).await.result
}

#[tokio::test]
async fn what_goes_wrong_in_http2_is_told_apart() {
    let authority = Authority::new("an authority");
    let silent = answering(&authority, &BOTH, |_| pending()).await;
    let result = check_within(&authority, &silent, 400).await;
    assert_failed(&result, FailureCause::HttpTimeoutFirstByte);
    assert!(result.timings_us.tls > 0 && result.timings_us.first_byte > 0);

    let body_of = |then: bool| {
        let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from("half")))]);
        let rest = futures_util::stream::once(async move {
            if then { Err(std::io::Error::other("broken")) } else { pending().await }
        });
        Response::new(StreamBody::new(first.chain(rest)).boxed_unsync())
    };
    let endless = answering(&authority, &BOTH, move |_| async move { body_of(false) }).await;
    let result = check_within(&authority, &endless, 600).await;
    assert_failed(&result, FailureCause::HttpTimeoutBody);
    assert_eq!(result.http_status, Some(200));
    let broken = answering(&authority, &BOTH, move |_| async move { body_of(true) }).await;
    assert_failed(&check_trusting(&authority, &broken).await, FailureCause::HttpClosedEarly);

    let closing = over_tls(&authority, &BOTH, |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.shutdown().await;
    })
    .await;
    assert_failed(&check_trusting(&authority, &closing).await, FailureCause::HttpClosedEarly);
    let confused = over_tls(&authority, &BOTH, |mut stream| async move {
        let _ = stream.read(&mut [0; 1024]).await;
        write_and_close(&mut stream, target::OK).await;
    })
    .await;
    assert_failed(&check_trusting(&authority, &confused).await, FailureCause::HttpInvalid);
}

#[tokio::test]
async fn a_header_of_http2_beyond_all_measure_is_too_large() {
    let authority = Authority::new("an authority");
    let with = |fields: usize, length: usize| {
        let authority = &authority;
        async move {
            let server = answering(authority, &BOTH, move |_| async move {
                let mut answer = plain("");
                let value = ::http::HeaderValue::from_str(&"a".repeat(length)).unwrap();
                for _ in 0..fields {
                    answer.headers_mut().append("x", value.clone());
                }
                answer
            })
            .await;
            check_trusting(authority, &server).await
        }
    };
    for (fields, length) in
        [(MAX_HEADER_FIELDS + 1, 1), (1, MAX_HEADER_BYTES), (1, 8 * MAX_HEADER_BYTES)]
    {
        assert_failed(&with(fields, length).await, FailureCause::HttpTooLarge);
    }
    // Positive control.
    for (fields, length) in [(MAX_HEADER_FIELDS - 2, 1), (1, MAX_HEADER_BYTES - 1_000)] {
        let result = with(fields, length).await;
        assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    }
}

#[tokio::test]
async fn a_server_of_http2_that_lets_nobody_go_is_left() {
    let authority = Authority::new("an authority");
    let (left, mut was_left) = tokio::sync::mpsc::unbounded_channel();
    let server = over_tls(&authority, &BOTH, move |mut stream| {
        let left = left.clone();
        async move {
            // It greets, reads everything, and says nothing more.
            let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
            let mut buffer = [0; 1024];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            left.send(()).unwrap();
        }
    })
    .await;
    let result = check_within(&authority, &server, 400).await;
    assert_failed(&result, FailureCause::HttpTimeoutFirstByte);
    was_left.recv().await.unwrap();
}

/// A server that resets each stream of HTTP/2 with HTTP_1_1_REQUIRED, and answers over HTTP/1.1.
async fn http11_server(authority: &Authority) -> TestTarget {
    over_tls(authority, &BOTH, |mut stream| async move {
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            target::read_head(&mut stream).await;
            write_and_close(&mut stream, target::OK).await;
            return;
        }
        // Frames (RFC 9113, section 4.1): settings, and a reset of stream 1 with the code 13.
        let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        // The preface of the client, and its frames up to its headers.
        let mut preface = [0; 24];
        let _ = stream.read_exact(&mut preface).await;
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            let _ = stream.read_exact(&mut payload).await;
            if head[3] == 1 {
                break;
            }
        }
        let _ = stream.write_all(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 13]).await;
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    })
    .await
}

#[tokio::test]
async fn a_server_that_asks_for_http11_is_asked_once_more() {
    let authority = Authority::new("an authority");
    let server = http11_server(&authority).await;
    let result = check_trusting(&authority, &server).await;
    assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)), "{result:?}");
    assert_eq!(server.connections(), 2);
    let mut target = get(&url("https", server.address, "/"));
    target.http_versions = HttpVersions::Http2;
    let result = checker_trusting(authority.roots()).run(&job(target)).await.result;
    assert_failed(&result, FailureCause::HttpClosedEarly);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_check_offers_the_versions_of_its_setting() {
    let authority = Authority::new("an authority");
    let server = answering(&authority, &BOTH, |request| async move {
        plain(if request.version() == Version::HTTP_2 { "2" } else { "1" })
    })
    .await;
    let old = answering(&authority, &[], |_| async { plain("1") }).await;
    let checked = async |server: &TestTarget, versions: HttpVersions, version: &str| {
        let mut target = get(&url("https", server.address, "/"));
        target.http_versions = versions;
        let assertion =
            serde_json::json!([{"type": "body", "operator": "equals", "value": version}]);
        target.assertions = serde_json::from_value(assertion).unwrap();
        checker_trusting(authority.roots()).run(&job(target)).await.result
    };
    for (versions, version) in
        [(HttpVersions::Any, "2"), (HttpVersions::Http11, "1"), (HttpVersions::Http2, "2")]
    {
        let result = checked(&server, versions, version).await;
        assert_eq!(result.outcome, Outcome::Up, "{versions:?}: {result:?}");
    }
    let result = checked(&old, HttpVersions::Http2, "1").await;
    assert_failed(&result, FailureCause::HttpInvalid);
    let only_old = answering(&authority, &BOTH[1..], |_| async { plain("1") }).await;
    let result = checked(&only_old, HttpVersions::Http2, "1").await;
    assert_failed(&result, FailureCause::TlsProtocol);
}
