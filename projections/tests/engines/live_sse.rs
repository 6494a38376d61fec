//! The live feed as Server-Sent Events, as a browser's `EventSource` reads it.

use pulsetrail_harness::{Feed, http_client};
use reqwest::Response;
use serde_json::{Value, json};

use crate::cell::Cell;

/// One event of a stream, as section 9.2 of WHATWG HTML has it.
#[derive(Debug, Default)]
struct ServerSent {
    /// `message` where the stream names none: what `onmessage` gets.
    name: String,
    data: String,
    retry: Option<u64>,
}

/// An event source: it keeps the last id, and comes back with it to the same address.
struct EventSource {
    address: String,
    last_id: Option<String>,
}

impl EventSource {
    async fn connect(&self) -> Response {
        let mut request = http_client().get(&self.address).header("accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        request.send().await.unwrap()
    }

    /// Reads a stream until `enough`, and hangs up.
    async fn read(
        &mut self,
        mut stream: Response,
        enough: impl Fn(&[ServerSent]) -> bool,
    ) -> Vec<ServerSent> {
        assert_eq!(stream.status().as_u16(), 200);
        let (mut text, mut events) = (String::new(), Vec::new());
        while !enough(&events) {
            let chunk = stream.chunk().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((block, rest)) = text.split_once("\n\n") {
                let mut event = ServerSent { name: "message".to_owned(), ..Default::default() };
                for line in block.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("event", name) => name.clone_into(&mut event.name),
                        ("data", data) => data.clone_into(&mut event.data),
                        ("id", id) => self.last_id = Some(id.to_owned()),
                        ("retry", wait) => event.retry = wait.parse().ok(),
                        _ => {}
                    }
                }
                events.push(event);
                text = rest.to_owned();
            }
        }
        events
    }
}

fn positions(events: &[ServerSent]) -> Vec<i64> {
    let messages = events.iter().filter(|event| event.name == "message");
    let positions = messages.map(|event| {
        let message: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(message["type"], "event");
        message["position"].as_i64().unwrap()
    });
    positions.collect()
}

fn names(events: &[ServerSent]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_source_that_is_cut_off_at_any_moment_misses_nothing() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "mine", json!({})).await;
    cell.projected().await;
    let ticket = reader.ticket().await;
    let address = format!("{}/api/v1/live/sse?ticket={ticket}", cell.url);
    let mut source = EventSource { address, last_id: None };

    // Cut off right after the first answer, which tells where to go on and when to come back.
    let stream = source.connect().await;
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = source.read(stream, |events| !events.is_empty()).await;
    assert_eq!(names(&first), ["subscribed"]);
    assert!(first[0].retry.is_some(), "{first:?}");
    let subscribed: Value = serde_json::from_str(&first[0].data).unwrap();
    assert_eq!(source.last_id, Some(subscribed["position"].to_string()));
    let mut expected = vec![monitor.check(60, "up").await, monitor.check(120, "up").await];

    // Cut off right after the next answer, before the first event.
    let stream = source.connect().await;
    source.read(stream, |events| !events.is_empty()).await;
    let stream = source.connect().await;
    let heard = source.read(stream, |events| names(events).contains(&"replayed")).await;
    assert_eq!(positions(&heard), expected);
    assert_eq!(names(&heard), ["subscribed", "message", "message", "replayed"]);

    // Cut off behind the replay, and between two events.
    expected = vec![monitor.check(180, "up").await, monitor.check(240, "up").await];
    let stream = source.connect().await;
    let one = source.read(stream, |events| positions(events).len() == 1).await;
    assert_eq!(positions(&one)[0], expected[0]);
    source.last_id = Some(expected[0].to_string());
    let stream = source.connect().await;
    let rest = source.read(stream, |events| !positions(events).is_empty()).await;
    assert_eq!(positions(&rest), expected[1..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ticket_of_an_event_source_is_good_again_there_and_nowhere_else() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let ticket = reader.ticket().await;
    let address = format!("{}/api/v1/live/sse?ticket={ticket}", cell.url);
    let source = EventSource { address, last_id: None };
    for _ in 0..3 {
        assert_eq!(source.connect().await.status().as_u16(), 200);
    }
    assert_eq!(Feed::with_ticket(&cell.url, &ticket).await.err(), Some(401));
    // It ends with the session, and by itself.
    let sql = async |statement: &str| {
        sqlx::query(statement).execute(&cell.store.write).await.unwrap();
    };
    sql("update sessions set revoked_at = clock_timestamp()").await;
    assert_eq!(source.connect().await.status().as_u16(), 401);
    sql("update sessions set revoked_at = null").await;
    assert_eq!(source.connect().await.status().as_u16(), 200);
    let lasts: f64 = sqlx::query_scalar(
        "select extract(epoch from expires_at - clock_timestamp())::float8 from live_tickets",
    )
    .fetch_one(&cell.store.read)
    .await
    .unwrap();
    assert!((3_000.0..=3_600.0).contains(&lasts), "{lasts} s");
    sql("update live_tickets set expires_at = clock_timestamp()").await;
    assert_eq!(source.connect().await.status().as_u16(), 401);
    // One that was used for a WebSocket is used up.
    let ticket = reader.ticket().await;
    Feed::with_ticket(&cell.url, &ticket).await.unwrap();
    let address = format!("{}/api/v1/live/sse?ticket={ticket}", cell.url);
    let source = EventSource { address, last_id: None };
    assert_eq!(source.connect().await.status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_opens_no_stream_for_a_page_of_another_origin() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let cookie = format!("pulsetrail_session={}", reader.token);
    let own = cell.url.clone();
    for (headers, status) in [
        (vec![], 200),
        (vec![("sec-fetch-site", "same-origin")], 200),
        (vec![("origin", own.as_str())], 200),
        (vec![("origin", "https://evil.test")], 403),
        (vec![("origin", "null")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
    ] {
        let mut request = http_client().get(format!("{own}/api/v1/live/sse"));
        request = request.header("cookie", &cookie);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{headers:?}");
    }
    // Who shows a token is meant, wherever the page is from.
    let request = http_client().get(format!("{own}/api/v1/live/sse")).bearer_auth(&reader.token);
    let response = request.header("origin", "https://app.test").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
}
