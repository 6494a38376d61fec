//! Targets that mean harm: they send the prober where it must not go, or never let it go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt as _;

use super::target::{OK, answering, read_head, redirect, serving};
use super::*;

/// The cloud's metadata address in every way in which a URL can say it.
const METADATA: [&str; 14] = [
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.43518",
    "169.16689662",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "025177524776",
    "%31%36%39.254.169.254",
    "１６９．２５４．１６９．２５４",
    "169。254。169。254",
    "[::ffff:169.254.169.254]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
];

#[tokio::test]
async fn no_way_of_writing_an_address_gets_a_redirect_past_the_shield() {
    for written in METADATA {
        for location in [format!("http://{written}/latest"), format!("//{written}:80/")] {
            let server = answering(redirect(307, &location)).await;
            let message = check(get(&url("http", server.address, "/"))).await;
            assert_failed(&message.result, FailureCause::ShieldRefused);
            let refusal = message.refusal.unwrap();
            assert_eq!(refusal.range, "169.254.169.254/32", "{location}");
            assert!(refusal.url.starts_with("http://"), "{}", refusal.url);
            assert_eq!(server.connections(), 1);
        }
    }
}

#[tokio::test]
async fn a_redirect_with_a_password_is_not_followed_and_the_password_is_not_told() {
    let canary = answering(OK).await;
    let location = format!("http://ada:s3cret@{}/", canary.address);
    let server = answering(redirect(302, &location)).await;
    let message = check(get(&url("http", server.address, "/"))).await;
    assert_failed(&message.result, FailureCause::HttpRedirectInvalid);
    assert!(!serde_json::to_string(&message).unwrap().contains("s3cret"));
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn what_an_answer_says_of_other_services_leads_nowhere() {
    let canary = answering(OK).await;
    let at = canary.address;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nalt-svc: h2=\"{at}\", http/1.1=\":{port}\"\r\nrefresh: 0; url=http://{at}/\r\n\
         link: <http://{at}/>; rel=preload\r\ncontent-location: http://{at}/\r\n\
         location: http://{at}/\r\ncontent-length: 0\r\n\r\n",
        port = at.port(),
    );
    let server = answering(answer).await;
    for _ in 0..2 {
        let result = check(get(&url("http", server.address, "/"))).await.result;
        assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    }
    assert_eq!((server.connections(), canary.connections()), (2, 0));
}

/// Serves what never ends: first `head`, then `drop` again and again.
async fn dripping(head: &'static str, drop: &'static str, pause: Duration) -> target::TestTarget {
    serving(move |mut stream, _| async move {
        read_head(&mut stream).await;
        let mut sent = stream.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            tokio::time::sleep(pause).await;
            sent = stream.write_all(drop.as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_target_that_drips_is_given_up_when_the_time_is_over() {
    let pause = Duration::from_millis(10);
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", "x"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("HTTP/1.1 200 OK\r\nx-long: ", "x"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0"),
    ];
    for (head, drop) in cases {
        let server = dripping(head, drop, pause).await;
        let result = check_within(get(&url("http", server.address, "/")), 300).await;
        let cause = result.failure.as_ref().map(|failure| failure.cause);
        let expected = [FailureCause::HttpTimeoutBody, FailureCause::HttpInvalid];
        assert!(cause.is_some_and(|cause| expected.contains(&cause)), "{head:?}: {result:?}");
        assert_eq!(server.connections(), 1, "what has used the time up is not tried again");
    }
}

#[tokio::test]
async fn hints_without_end_are_no_answer() {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let server = dripping(hint, hint, Duration::ZERO).await;
    let result = check_within(get(&url("http", server.address, "/")), 300).await;
    assert_eq!(result.outcome, Outcome::Down, "{result:?}");
    assert_eq!(result.http_status, None);
}

#[tokio::test]
async fn header_fields_without_end_are_too_large() {
    let fields: &'static str = Box::leak("x: y\r\n".repeat(1_000).into_boxed_str());
    let server = dripping("HTTP/1.1 200 OK\r\n", fields, Duration::ZERO).await;
    let result = check(get(&url("http", server.address, "/"))).await.result;
    assert_failed(&result, FailureCause::HttpTooLarge);
}

#[tokio::test]
async fn redirects_without_end_come_to_one() {
    let server = target::answering_by(|_, number| redirect(302, &format!("/{number}"))).await;
    for max_redirects in [0, 5, 20] {
        let before = server.connections();
        let target = HttpTarget { max_redirects, ..get(&url("http", server.address, "/start")) };
        assert_failed(&check(target).await.result, FailureCause::HttpTooManyRedirects);
        assert_eq!(server.connections() - before, usize::from(max_redirects) + 1);
    }
}

#[tokio::test]
async fn a_body_without_end_is_left_after_its_first_part() {
    let part: &'static str = Box::leak("x".repeat(65_536).into_boxed_str());
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let server = serving(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            read_head(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\n\r\n";
            let mut done = stream.write_all(head.as_bytes()).await;
            while done.is_ok() {
                done = stream.write_all(part.as_bytes()).await;
                counter.fetch_add(part.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let result = check(get(&url("http", server.address, "/"))).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    // What is beyond the first MiB lay in buffers of the kernel.
    let sent = sent.load(Ordering::SeqCst);
    assert!(sent < 64 * 1024 * 1024, "{sent}");
}

#[tokio::test]
async fn connections_are_not_kept_for_the_next_check() {
    let server =
        answering("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n");
    let server = server.await;
    for number in 1..=3 {
        check(get(&url("http", server.address, "/"))).await;
        assert_eq!(server.connections(), number);
    }
}
