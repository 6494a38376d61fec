use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use pulsetrail_domain::monitor::{HttpMethod, StatusRange};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::super::body::MAX_BODY_BYTES;
use super::super::exchange::{MAX_HEADER_BYTES, MAX_HEADER_FIELDS};
use super::target::{OK, answering, answering_by, read_head, serving, write_and_close};
use super::*;

#[tokio::test]
async fn a_target_that_answers_is_up_and_every_phase_is_measured() {
    let target = answering(OK).await;
    let message = check(get(&url("http", target.address, "/"))).await;
    let result = message.result;
    assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)));
    assert_eq!((result.failure, message.refusal), (None, None));
    assert_eq!((result.attempts, result.config_version, result.valid_for_ms), (1, 3, 130_000));
    let timings = result.timings_us;
    assert_eq!((timings.dns, timings.tls), (0, 0));
    assert!(timings.connect > 0 && timings.first_byte > 0, "{timings:?}");
    assert!(timings.total >= timings.connect + timings.first_byte, "{timings:?}");
}

#[tokio::test]
async fn the_request_is_what_the_monitor_says() {
    let seen = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&seen);
    let server = answering_by(move |head, _| {
        *note.lock().unwrap() = head.to_owned();
        OK.to_owned()
    })
    .await;
    let mut target = get(&url("http", server.address, "/a%20b?c=d"));
    target.method = HttpMethod::Post;
    target.body = Some("hello".to_owned());
    target.headers.insert("X-Mine".to_owned(), "yes".to_owned());
    assert_eq!(check(target).await.result.outcome, Outcome::Up);
    let head = seen.lock().unwrap().to_lowercase();
    assert!(head.starts_with("post /a%20b?c=d http/1.1\r\n"), "{head}");
    let agent = format!("user-agent: pulsetrail/{}\r\n", env!("CARGO_PKG_VERSION"));
    let host = format!("host: {}\r\n", server.address);
    let encodings = "accept-encoding: gzip, deflate, br, zstd\r\n";
    for line in
        [&*agent, &*host, "x-mine: yes\r\n", "content-length: 5\r\n", "accept: */*\r\n", encodings]
    {
        assert!(head.contains(line), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn a_status_that_was_not_expected_is_down() {
    let server = answering("HTTP/1.1 503 Gone Fishing\r\ncontent-length: 0\r\n\r\n").await;
    let mut target = get(&url("http", server.address, "/"));
    let result = check(target.clone()).await.result;
    assert_failed(&result, FailureCause::HttpStatusUnexpected);
    assert_eq!(result.http_status, Some(503));
    target.expected_status = vec![StatusRange::try_from("500-503".to_owned()).unwrap()];
    assert_eq!(check(target).await.result.outcome, Outcome::Up);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let result = check(get(&url("http", address, "/"))).await.result;
    assert_failed(&result, FailureCause::ConnectRefused);
    assert_eq!((result.http_status, result.timings_us.first_byte), (None, 0));
    assert!(result.timings_us.connect > 0 && result.timings_us.total > 0);
}

#[tokio::test]
async fn a_target_that_never_answers_runs_into_the_timeout() {
    let server = serving(|mut stream, _| async move {
        read_head(&mut stream).await;
        pending::<()>().await;
    })
    .await;
    let began = Instant::now();
    let result = check_within(get(&url("http", server.address, "/")), 150).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_failed(&result, FailureCause::HttpTimeoutFirstByte);
    let timings = result.timings_us;
    assert!(timings.connect > 0 && timings.total >= 150_000, "{timings:?}");
}

#[tokio::test]
async fn a_body_that_never_ends_runs_into_the_timeout() {
    let server = serving(|mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        pending::<()>().await;
    })
    .await;
    let result = check_within(get(&url("http", server.address, "/")), 300).await;
    assert_failed(&result, FailureCause::HttpTimeoutBody);
    assert_eq!(result.http_status, Some(200));
    assert!(result.timings_us.first_byte > 0 && result.timings_us.first_byte < 300_000);
}

#[tokio::test]
async fn a_header_that_never_ends_runs_into_the_timeout() {
    let server = serving(|mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx-half: ").await;
        pending::<()>().await;
    })
    .await;
    let result = check_within(get(&url("http", server.address, "/")), 300).await;
    assert_failed(&result, FailureCause::HttpTimeoutBody);
    assert_eq!(result.http_status, None);
}

#[tokio::test]
async fn a_connection_that_is_closed_too_early_is_told_apart() {
    for half in [
        "",
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    ] {
        let server = answering(half).await;
        let result = check(get(&url("http", server.address, "/"))).await.result;
        assert_failed(&result, FailureCause::HttpClosedEarly);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_told_apart() {
    for nonsense in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        let server = answering(nonsense).await;
        let result = check(get(&url("http", server.address, "/"))).await.result;
        assert_failed(&result, FailureCause::HttpInvalid);
    }
}

#[tokio::test]
async fn a_header_beyond_all_measure_is_too_large() {
    let field = format!("x-long: {}\r\n", "a".repeat(200 * 1024));
    let many = "x-many: 1\r\n".repeat(MAX_HEADER_FIELDS + 1);
    for fields in [field, many] {
        let server = answering(format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).await;
        let result = check(get(&url("http", server.address, "/"))).await.result;
        assert_failed(&result, FailureCause::HttpTooLarge);
    }
    // Positive control: a header as large as it may be.
    let fields = "x-many: 1\r\n".repeat(MAX_HEADER_FIELDS - 1);
    let long = format!("x-long: {}\r\n", "a".repeat(MAX_HEADER_BYTES - 1_200));
    let server = answering(format!("HTTP/1.1 204 No Content\r\n{fields}{long}\r\n")).await;
    let result = check(get(&url("http", server.address, "/"))).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
}

#[tokio::test]
async fn a_large_body_is_read_up_to_the_limit_and_no_further() {
    let server = serving(|mut stream, _| async move {
        read_head(&mut stream).await;
        let length = MAX_BODY_BYTES * 2;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(&vec![b'a'; MAX_BODY_BYTES]).await;
        // The rest never comes.
        pending::<()>().await;
    })
    .await;
    let result = check(get(&url("http", server.address, "/"))).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
}

#[tokio::test]
async fn an_answer_may_end_with_its_connection() {
    let server = answering("HTTP/1.0 200 OK\r\n\r\nhello").await;
    assert_eq!(check(get(&url("http", server.address, "/"))).await.result.outcome, Outcome::Up);
}

#[tokio::test]
async fn a_check_tries_again_and_says_how_often() {
    let flaky = serving(|mut stream, number| async move {
        read_head(&mut stream).await;
        write_and_close(&mut stream, if number < 2 { "" } else { OK }).await;
    })
    .await;
    let retries =
        Retries { max_attempts: 5, initial_backoff_ms: 1, multiplier: 2, max_backoff_ms: 5 };
    let job_of = |address| Job { retries, ..job(get(&url("http", address, "/"))) };
    let result = checker().run(&job_of(flaky.address)).await.result;
    assert_eq!((result.outcome, result.attempts), (Outcome::Up, 3));
    assert_eq!(flaky.connections(), 3, "a fresh connection for each attempt");
    let broken = answering("").await;
    let result = checker().run(&job_of(broken.address)).await.result;
    assert_failed(&result, FailureCause::HttpClosedEarly);
    assert_eq!((result.attempts, broken.connections()), (5, 5));
}

#[tokio::test]
async fn a_check_that_waited_gets_its_whole_timeout() {
    let server = serving(|mut stream, _| async move {
        read_head(&mut stream).await;
        pending::<()>().await;
    })
    .await;
    let job = job(get(&url("http", server.address, "/")));
    let job = Job { timeout_ms: 300, deadline: Utc::now(), ..job };
    let began = Instant::now();
    let result = checker().run(&job).await.result;
    assert_failed(&result, FailureCause::HttpTimeoutFirstByte);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_refused_address_is_blocked_and_never_dialled() {
    let server = answering(OK).await;
    let closed = Checker::new(Shield::new(Vec::new(), Vec::new()).unwrap()).unwrap();
    let retries = Retries { max_attempts: 5, ..Retries::default() };
    let job = Job { retries, ..job(get(&url("http", server.address, "/x"))) };
    let message = closed.run(&job).await;
    assert_failed(&message.result, FailureCause::ShieldRefused);
    assert_eq!(message.result.attempts, 1, "a refusal is not tried again");
    let refusal = message.refusal.unwrap();
    assert_eq!(refusal.url, url("http", server.address, "/x"));
    assert_eq!((&*refusal.address, &*refusal.range), ("127.0.0.1", "127.0.0.0/8"));
    assert_eq!(server.connections(), 0);
}
