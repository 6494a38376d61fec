//! Answers that browsers and curl take, although their servers do not keep to the letter.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::target::{OK, answering, answering_by, redirect, serving, write_and_close};
use super::*;

#[tokio::test]
async fn fields_that_are_not_written_as_they_should_be_are_taken_or_left_out() {
    for field in [
        "X-Foo: bar\r\n baz",
        "X-Foo: bar\r\n\tbaz\r\n  more",
        "X-Foo : bar",
        "X-Foo\t: bar",
        "Set-Cookie: a=\u{1}b",
        "no field at all",
        ": no name",
        "X Foo: bar",
        "X-Foo: gr\u{fc}n",
        "X-Foo:",
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\n{field}\r\nx-good: yes\r\ncontent-length: 2\r\n\r\nok");
        let server = answering(answer).await;
        let mut target = get(&url("http", server.address, "/"));
        // What comes behind it is there.
        target.assertions = serde_json::from_value(json!([
            {"type": "header", "name": "x-good", "operator": "equals", "value": "yes"},
            {"type": "body", "operator": "equals", "value": "ok"},
        ]))
        .unwrap();
        let result = check(target).await.result;
        assert_eq!(result.outcome, Outcome::Up, "{field:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_long_location_is_followed() {
    let long = format!("/{}", "a".repeat(8_000));
    let to = long.clone();
    let server = answering_by(move |head, _| {
        if head.starts_with(&format!("GET {to} ")) { OK.to_owned() } else { redirect(302, &to) }
    })
    .await;
    let result = check(get(&url("http", server.address, "/"))).await.result;
    assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)), "{result:?}");
}

#[tokio::test]
async fn the_hops_of_a_check_share_their_cookies() {
    let forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let set = |value: &str, to: &str| {
        redirect(302, to).replacen("\r\n", &format!("\r\nset-cookie: {value}\r\n"), 1)
    };
    let server = answering_by(move |head, _| {
        let has = head.lines().any(|line| line.eq_ignore_ascii_case("cookie: session=1; b=2"));
        match head.split(' ').nth(1) {
            Some("/a") => set("session=1; Path=/; HttpOnly", "/b"),
            Some("/b") => set("b=2; Path=/", "/c"),
            Some("/c") if has => OK.to_owned(),
            _ => forbidden.to_owned(),
        }
    })
    .await;
    let result = check(get(&url("http", server.address, "/a"))).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    // Another check begins without them.
    let result = check(get(&url("http", server.address, "/c"))).await.result;
    assert_eq!(result.http_status, Some(403));
}

#[tokio::test]
async fn a_redirect_to_the_same_place_is_followed_while_redirects_are_left() {
    let server = answering_by(|_, number| match number {
        0 => redirect(302, "/a"),
        _ => OK.to_owned(),
    })
    .await;
    let result = check(get(&url("http", server.address, "/a"))).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_judged_by_its_status_where_its_body_is_not_read() {
    let server = serving(|mut stream, _| async move {
        target::read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut target = get(&url("http", server.address, "/"));
    // Positive control.
    let result = check_within(target.clone(), 300).await;
    assert_failed(&result, FailureCause::HttpTimeoutBody);
    target.read_body = false;
    let result = check(target).await.result;
    assert_eq!((result.outcome, result.http_status), (Outcome::Up, Some(200)), "{result:?}");
}

#[tokio::test]
async fn a_host_of_ones_own_goes_to_the_urls_own_origin_alone() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let host = move |head: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with("host:"));
        note.lock().unwrap().push(line.unwrap_or_default()[5..].trim().to_owned());
    };
    let noted = host.clone();
    let other = answering_by(move |head, _| {
        noted(head);
        OK.to_owned()
    })
    .await;
    let elsewhere = url("http", other.address, "/");
    let server = answering_by(move |head, number| {
        host(head);
        if number == 0 { redirect(302, "/next") } else { redirect(302, &elsewhere) }
    })
    .await;
    let mut target = get(&url("http", server.address, "/"));
    target.headers.insert("Host".to_owned(), "shop.example".to_owned());
    let result = check(target).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    let own = other.address.to_string();
    assert_eq!(*seen.lock().unwrap(), ["shop.example", "shop.example", own.as_str()]);
}

#[tokio::test]
async fn whatever_a_target_sends_can_be_kept() {
    let body = "{\"a\": \"\\ud800\", \"b\": \"x\\u0000y\"}";
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let zeros = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na\0b".to_owned();
    for answer in [answer, zeros] {
        let server = serving(move |mut stream, _| {
            let answer = answer.clone();
            async move {
                target::read_head(&mut stream).await;
                write_and_close(&mut stream, &answer).await;
            }
        })
        .await;
        let mut target = get(&url("http", server.address, "/"));
        let assertion = json!([{"type": "body", "operator": "equals", "value": "zz"}]);
        target.assertions = serde_json::from_value(assertion).unwrap();
        let result = check(target).await.result;
        assert_failed(&result, FailureCause::AssertionFailed);
        let got = result.findings.unwrap().assertion.unwrap().got.unwrap();
        for text in [result.failure.unwrap().detail, got] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}
