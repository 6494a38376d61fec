//! Assertions and encodings that cost much, and what becomes of long bodies.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::target::{OK, answering, read_head, serving};
use super::*;

/// A body that is cheap to make and costly to look at.
fn costly_answer(values: usize) -> String {
    let body = format!("[{}1]", "0,".repeat(values));
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn asserting(address: SocketAddr, assertion: serde_json::Value) -> HttpTarget {
    let assertions = serde_json::from_value(json!([assertion])).unwrap();
    HttpTarget { assertions, ..get(&url("http", address, "/")) }
}

fn absent(path: &str) -> serde_json::Value {
    json!({"type": "json_path", "path": path, "operator": "absent"})
}

#[tokio::test]
async fn monitors_that_cost_much_end_in_time_and_let_the_checks_of_others_go_on() {
    let server = answering(costly_answer(500_000)).await;
    // Frames without output, a MiB and more of them, in 1 kB.
    let frames = encoding::zstd(b"").repeat(700_000);
    let silent = encoding::gzip(&encoding::zstd(&frames));
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: zstd, zstd, gzip\r\n\r\n".as_bytes();
    let silent = [head, &silent].concat();
    let encoded = serving(move |mut stream, _| {
        let silent = silent.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(&silent).await;
        }
    })
    .await;
    let contains = json!({"type": "body", "operator": "contains", "value": "x"});
    let cubic = asserting(server.address, absent("$[?count($[?count($[*])>0])>0]"));
    let hostile = [
        (asserting(encoded.address, contains), FailureCause::HttpTooLarge),
        (cubic, FailureCause::AssertionTooExpensive),
        (
            asserting(server.address, absent("$..[?count($..*)<0]")),
            FailureCause::AssertionTooExpensive,
        ),
    ];
    let victim = answering(OK).await;
    let of_another = Job { timeout_ms: 1_000, ..job(get(&url("http", victim.address, "/"))) };
    let checker = &checker();
    let ended = hostile.into_iter().enumerate().map(|(number, (target, cause))| async move {
        let organization_id = OrganizationId(Uuid::from_u128(number as u128 + 1));
        let job = Job { timeout_ms: 30_000, organization_id, ..job(target) };
        (checker.run(&job).await.result, cause)
    });
    let mut ended = std::pin::pin!(futures_util::future::join_all(ended));
    let mut made = 0;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut ended => break ended,
            other = checker.run(&of_another) => {
                assert_eq!(other.result.outcome, Outcome::Up, "{:?}", other.result);
                made += 1;
            }
        }
    };
    for (result, cause) in ended {
        assert_failed(&result, cause);
        assert_eq!(result.http_status, Some(200));
    }
    // What the others cost takes seconds in all.
    assert!(made >= 10, "{made}");
}

#[tokio::test]
async fn what_is_left_of_a_checks_timeout_is_all_that_its_assertions_get() {
    let server = answering(costly_answer(20_000)).await;
    let target = asserting(server.address, absent("$[?count($[?count($[*])>0])>0]"));
    let result = check_within(target, 500).await;
    assert_failed(&result, FailureCause::AssertionTooExpensive);
}

#[tokio::test]
async fn a_long_body_decides_what_its_first_mib_can_decide() {
    let long = format!("keyword{}", "a".repeat(1024 * 1024));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", long.len());
    let server = answering(head + &long).await;
    let body =
        |operator: &str, value: &str| json!({"type": "body", "operator": operator, "value": value});
    let cause = async |assertion| {
        let result = check(asserting(server.address, assertion)).await.result;
        result.failure.map(|failure| failure.cause)
    };
    for good in [
        body("contains", "keyword"),
        body("matches", "^key"),
        body("not_equals", "a"),
        json!({"type": "body", "operator": "exists"}),
    ] {
        assert_eq!(cause(good.clone()).await, None, "{good}");
    }
    for bad in
        [body("not_contains", "keyword"), body("not_matches", "wordaa"), body("equals", "keyword")]
    {
        assert_eq!(cause(bad.clone()).await, Some(FailureCause::AssertionFailed), "{bad}");
    }
    for undecided in [
        body("contains", "b"),
        body("not_contains", "b"),
        body("matches", "a$"),
        body("not_matches", "b"),
        absent("$.a"),
    ] {
        assert_eq!(cause(undecided.clone()).await, Some(FailureCause::HttpTooLarge), "{undecided}");
    }
}

#[tokio::test]
async fn values_in_a_body_are_compared_exactly_and_in_its_charset() {
    let (page, ..) = encoding_rs::GBK.encode("<p>运行正常</p>");
    let answer = async |content_type: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n");
        let answer = [head.as_bytes(), body].concat();
        serving(move |mut stream, _| {
            let answer = answer.clone();
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
            }
        })
        .await
    };
    let marked =
        answer("application/json", b"\xef\xbb\xbf{\"status\":\"ok\",\"id\":9007199254740993}")
            .await;
    let page = answer("text/html; charset=gb2312", &page).await;
    let of = |path: &str, operator: &str, value: serde_json::Value| json!({"type": "json_path", "path": path, "operator": operator, "value": value});
    let id = 9_007_199_254_740_992_u64;
    for (address, assertion, is_good) in [
        (marked.address, of("$.status", "equals", json!("ok")), true),
        (marked.address, of("$.id", "equals", json!(id)), false),
        (marked.address, of("$.id", "equals", json!(id + 1)), true),
        (marked.address, of("$.id", "not_equals", json!(id)), true),
        (marked.address, of("$.id", "greater_than", json!(id)), true),
        (marked.address, of("$.id", "at_most", json!(id)), false),
        (page.address, json!({"type": "body", "operator": "contains", "value": "运行正常"}), true),
        (page.address, json!({"type": "body", "operator": "matches", "value": ">.{4}<"}), true),
    ] {
        let result = check(asserting(address, assertion.clone())).await.result;
        assert_eq!(result.outcome == Outcome::Up, is_good, "{assertion}: {result:?}");
    }
}
