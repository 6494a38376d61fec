//! The live feed over a real socket, from the log to the subscriber.

use pulsetrail_harness::{Feed, eventually};
use pulsetrail_infra::store::head;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use uuid::Uuid;

use crate::cell::Cell;

/// The positions of the next events; every other message is refused.
async fn events(feed: &mut Feed, count: usize) -> Vec<i64> {
    let mut positions = Vec::new();
    while positions.len() < count {
        let message = feed.next().await;
        assert_eq!(message["type"], "event", "{message}");
        positions.push(message["position"].as_i64().unwrap());
    }
    positions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_get_the_events_of_their_rooms_and_of_no_other_tenant() {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let mine = reader.monitor(0, "mine", json!({})).await;
    let other = reader.monitor(0, "other", json!({})).await;
    let foreign = stranger.monitor(0, "foreign", json!({})).await;
    // Who subscribes without a position gets what the server has not handed out yet.
    let newest = head(&cell.store.read).await.unwrap().0;
    eventually("the live feed is at the head of the log", async || {
        let mut feed = reader.live().await;
        (feed.subscribe(json!("all"), None).await >= newest).then_some(())
    })
    .await;
    cell.projected().await;

    let mut one = reader.live().await;
    one.subscribe(json!([mine.id]), None).await;
    let mut all = reader.live().await;
    all.subscribe(json!("all"), None).await;
    for id in [foreign.id.to_string(), Uuid::new_v4().to_string(), "no id".to_owned()] {
        one.say(&json!({"type": "subscribe", "monitors": [mine.id, id]})).await;
        let answer = one.next().await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("not_found")));
    }

    foreign.check(60, "up").await;
    let first = mine.check(60, "up").await;
    let second = other.check(60, "up").await;
    // Registered later, and in the room of all.
    let later = reader.monitor(70, "later", json!({})).await;
    let third = later.check(120, "up").await;
    let last = mine.check(120, "up").await;
    assert_eq!(events(&mut one, 2).await, [first, last]);
    assert_eq!(events(&mut all, 5).await, [first, second, second + 1, third, last]);

    one.say(&json!({"type": "unsubscribe", "monitors": [mine.id]})).await;
    one.say(&json!({"type": "ping"})).await;
    assert_eq!(one.next().await, json!({"type": "pong"}));
    mine.check(180, "up").await;
    events(&mut all, 1).await;
    one.say(&json!({"type": "ping"})).await;
    assert_eq!(one.next().await, json!({"type": "pong"}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_after_a_restart_gets_what_was_missed_from_the_store_and_then_goes_on_live()
{
    let first = Cell::start().await;
    let reader = first.reader().await;
    let monitor = reader.monitor(0, "mine", json!({})).await;
    let noise = reader.monitor(0, "noise", json!({})).await;
    let mut expected = Vec::new();
    for slot in 1..=400 {
        expected.push(monitor.check(slot * 60, "up").await);
        noise.check(slot * 60, "up").await;
    }
    first.projected().await;
    // Another server, which has none of it in memory.
    let server = first.another_server().await;
    let mut few = Feed::open(&server, &reader.token).await;
    let mut all = Feed::open(&server, &reader.token).await;
    few.subscribe(json!([monitor.id]), Some(expected[9])).await;
    all.subscribe(json!("all"), Some(expected[9])).await;
    let live = monitor.check(90_000, "up").await;
    assert_eq!(events(&mut few, 390).await, expected[10..]);
    let replayed = few.next().await;
    assert_eq!(replayed["type"], "replayed", "{replayed}");
    assert!(replayed["through"].as_i64().unwrap() > expected[399]);
    assert_eq!(events(&mut few, 1).await, [live]);

    let mut seen = Vec::new();
    let mut replays = 0;
    while seen.last() != Some(&live) {
        let message: Value = all.next().await;
        match message["type"].as_str().unwrap() {
            "event" => seen.push(message["position"].as_i64().unwrap()),
            "replayed" => replays += 1,
            _ => panic!("{message}"),
        }
    }
    let log = first.log().await;
    let missed: Vec<i64> = log.into_iter().filter(|position| *position > expected[9]).collect();
    assert_eq!(seen, missed);
    assert_eq!(replays, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_the_feed_of_its_owner_once_at_any_server() {
    let cell = Cell::start().await;
    let (reader, stranger) = (cell.reader().await, cell.reader().await);
    let mine = reader.monitor(0, "mine", json!({})).await;
    let foreign = stranger.monitor(0, "foreign", json!({})).await;
    cell.projected().await;
    let server = cell.another_server().await;
    let ticket = reader.ticket().await;
    let mut feed = Feed::with_ticket(&server, &ticket).await.unwrap();
    feed.say(&json!({"type": "subscribe", "monitors": [foreign.id]})).await;
    assert_eq!(feed.next().await["code"], "not_found");
    feed.subscribe(json!([mine.id]), None).await;
    let event = mine.check(60, "up").await;
    assert_eq!(events(&mut feed, 1).await, [event]);
    for url in [&server, &cell.url] {
        assert_eq!(Feed::with_ticket(url, &ticket).await.err(), Some(401), "it was used");
    }
    assert_eq!(Feed::with_ticket(&server, "tkt_nobodys").await.err(), Some(401));

    // Of many who show it at the same time, one gets in.
    let ticket = reader.ticket().await;
    let both = [&server, &cell.url].into_iter().cycle().take(8);
    let shown = both.map(|url| Feed::with_ticket(url, &ticket));
    let opened = futures_util::future::join_all(shown).await;
    assert_eq!(opened.iter().filter(|feed| feed.is_ok()).count(), 1);

    let sse = format!("{server}/api/v1/live/sse?ticket={}", reader.ticket().await);
    assert_eq!(pulsetrail_harness::http_client().get(sse).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_is_old_or_whose_session_ended_opens_nothing() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let (old, ended) = (reader.ticket().await, reader.ticket().await);
    let sql = async |statement: &str| {
        sqlx::query(statement).execute(&cell.store.write).await.unwrap();
    };
    // The one that was made first.
    sql("update live_tickets set expires_at = clock_timestamp()
         where expires_at = (select min(expires_at) from live_tickets)")
    .await;
    assert_eq!(Feed::with_ticket(&cell.url, &old).await.err(), Some(401));
    sql("update sessions set revoked_at = clock_timestamp()").await;
    assert_eq!(Feed::with_ticket(&cell.url, &ended).await.err(), Some(401));
    sql("update sessions set revoked_at = null").await;
    assert_eq!(Feed::with_ticket(&cell.url, &ended).await.err(), Some(401), "it was used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_the_log_has_not_reached_is_refused() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "mine", json!({})).await;
    cell.projected().await;
    let newest = head(&cell.store.read).await.unwrap().0;
    let mut feed = reader.live().await;
    for after in [newest + 1, i64::MAX] {
        feed.say(&json!({"type": "subscribe", "monitors": "all", "after": after})).await;
        let answer = feed.next().await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!("unknown_position"))
        );
    }
    let path = format!("/api/v1/live/sse?after={}", newest + 1);
    assert_eq!(reader.refusal(&path).await, (400, "unknown_position".to_owned()));
    feed.subscribe(json!("all"), Some(newest)).await;
    let event = monitor.check(60, "up").await;
    assert_eq!(feed.next_event().await["position"], event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_that_are_named_in_several_messages_come_in_one_order() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let start = head(&cell.store.read).await.unwrap().0;
    let mut monitors = Vec::new();
    for number in 0..3 {
        monitors.push(reader.monitor(0, &format!("m{number}"), json!({})).await);
    }
    for slot in 1..=200 {
        for monitor in &monitors {
            monitor.check(slot * 60, "up").await;
        }
    }
    cell.projected().await;
    let log: Vec<i64> = cell.log().await.into_iter().filter(|position| *position > start).collect();
    let mut feed = Feed::open(&cell.another_server().await, &reader.token).await;
    for (place, monitor) in monitors.iter().enumerate() {
        let more = place < 2;
        let message =
            json!({"type": "subscribe", "monitors": [monitor.id], "after": start, "more": more});
        feed.say(&message).await;
        assert_eq!(feed.next().await["type"], "subscribed");
    }
    assert_eq!(events(&mut feed, log.len()).await, log);
    assert_eq!(feed.next().await["type"], "replayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_answered_with_its_own_code() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    for close in [
        (Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() }), Some(1000)),
        (Some(CloseFrame { code: CloseCode::Away, reason: "".into() }), Some(1001)),
    ] {
        let mut feed = reader.live().await;
        feed.subscribe(json!("all"), None).await;
        feed.send(Message::Close(close.0)).await;
        let (heard, code) = feed.until_closed().await;
        assert!(heard.is_empty(), "{heard:?}");
        assert_eq!(code, close.1);
    }
}
