use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use pulsetrail_infra::http::{AccessTokens, Authenticator};
use pulsetrail_infra::store::Store;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::super::LiveLimits;
use super::super::door::tests::somebody;
use super::super::event::tests::live;
use super::super::queue::QUEUE;
use super::*;

const ORGANIZATION: u128 = 1;

/// A hub that began at 10 and is fed by hand. Nothing in these tests asks Postgres.
pub(in crate::live) fn hub() -> LiveHub {
    let nowhere = PgPool::connect_lazy("postgres://127.0.0.1:1/none").unwrap();
    let store = Store { read: nowhere.clone(), write: nowhere };
    let tokens = AccessTokens::new(&[7; 32], 60);
    let authenticator = Authenticator::new(tokens, store.read.clone());
    let limits = LiveLimits { connections_per_person: NonZeroU32::MAX };
    let hub = LiveHub::at(store, authenticator, limits, CancellationToken::new(), Position(10));
    hub.inner.started.send_replace(true);
    hub
}

/// Publishes events of one of the organization's monitors.
pub(in crate::live) fn publish(hub: &LiveHub, positions: impl IntoIterator<Item = i64>) {
    for position in positions {
        hub.board().publish(Arc::new(live(position, ORGANIZATION, 7)));
    }
}

pub(in crate::live) fn session(hub: &LiveHub) -> Session {
    let identity = somebody(1, 1, ORGANIZATION);
    let pass = hub.inner.door.enter(&identity).unwrap();
    Session::new(hub.clone(), identity.organization_id, pass)
}

/// The answers to a message, as JSON.
async fn ask(session: &mut Session, message: Value) -> Value {
    let answers = session.handle(&message.to_string()).await;
    serde_json::to_value(answers).unwrap()
}

fn position(event: &LiveEvent) -> i64 {
    let message: Value = serde_json::from_str(event.message.as_str()).unwrap();
    message["position"].as_i64().unwrap()
}

/// Everything that the session has to send now: positions of events, other messages as they are.
async fn sent(session: &mut Session) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        if let Some(page) = session.next_page() {
            let (events, replayed) = session.take_page(&page.await);
            all.extend(events.iter().map(|event| json!(position(event))));
            all.extend(replayed.map(|message| serde_json::to_value(message).unwrap()));
        } else if let Some(item) = session.queue.next_now() {
            all.extend(session.take(item).map(|item| match item {
                Item::Event(event) => json!(position(&event)),
                Item::Watched(watched) => serde_json::from_str(watched.message.as_str()).unwrap(),
            }));
        } else if session.queue.has_ended() {
            all.push(serde_json::to_value(session.take_end_of_queue()).unwrap());
        } else {
            return all;
        }
    }
}

/// What the session sends without reading the log.
fn sent_now(session: &mut Session) -> Vec<Item> {
    if session.queue_waits() {
        return Vec::new();
    }
    std::iter::from_fn(|| session.queue.next_now()).collect()
}

fn numbers(range: impl IntoIterator<Item = i64>) -> Vec<Value> {
    range.into_iter().map(Value::from).collect()
}

fn replayed(through: i64) -> Value {
    json!({"type": "replayed", "through": through})
}

#[tokio::test]
async fn a_subscriber_gets_what_comes_and_nothing_from_before() {
    let hub = hub();
    let mut session = session(&hub);
    publish(&hub, 11..=12);
    let answer = ask(&mut session, json!({"type": "subscribe", "monitors": "all"})).await;
    assert_eq!(answer, json!([{"type": "subscribed", "monitors": "all", "position": 12}]));
    publish(&hub, 13..=14);
    assert_eq!(sent(&mut session).await, numbers(13..=14));
}

#[tokio::test]
async fn who_comes_back_gets_every_event_once_with_no_gap_at_the_seam() {
    let hub = hub();
    publish(&hub, 11..=1_000);
    let mut session = session(&hub);
    let message = json!({"type": "subscribe", "monitors": "all", "after": 20});
    ask(&mut session, message).await;
    let page = session.next_page().unwrap().await;
    // These come while the first page is on its way.
    publish(&hub, 1_001..=1_100);
    let (first, _) = session.take_page(&page);
    let mut all: Vec<Value> = first.iter().map(|event| json!(position(event))).collect();
    all.extend(sent(&mut session).await);
    let expected = [numbers(21..=1_000), vec![replayed(1_000)], numbers(1_001..=1_100)].concat();
    assert_eq!(all, expected);
}

/// Another server may have handed out more than this one.
#[tokio::test]
async fn a_position_that_this_server_has_not_handed_out_yet_is_waited_for() {
    let hub = hub();
    let mut session = session(&hub);
    let all = Selected::All(crate::live::message::All::All);
    let answer = session.subscribe(all, Some(Position(15))).unwrap();
    assert_eq!(serde_json::to_value(&answer[1]).unwrap(), replayed(15));
    publish(&hub, 11..=17);
    assert_eq!(sent(&mut session).await, numbers(16..=17));
}

/// Publishes an event of the monitor 7 and one of the monitor 8, in turn.
fn publish_both(hub: &LiveHub, positions: impl IntoIterator<Item = i64>) {
    for position in positions {
        let monitor = if position % 2 == 1 { 7 } else { 8 };
        hub.board().publish(Arc::new(live(position, ORGANIZATION, monitor)));
    }
}

/// Subscribes to a monitor without asking Postgres whether it is the organization's.
fn enter(session: &mut Session, monitor: u128, after: Option<i64>, more: bool) {
    let monitors = Selected::Some(vec![MonitorId(uuid::Uuid::from_u128(monitor))]);
    session.hold(more);
    session.subscribe(monitors, after.map(Position)).unwrap();
}

#[tokio::test]
async fn rooms_that_are_asked_for_together_are_replayed_in_one_order() {
    let hub = hub();
    publish_both(&hub, 11..=1_000);
    let mut session = session(&hub);
    enter(&mut session, 7, Some(10), true);
    assert!(session.next_page().is_none() && session.queue_waits());
    assert!(sent_now(&mut session).is_empty());
    // Events go on meanwhile, more than the queue holds.
    let last = 1_010 + 2 * QUEUE as i64;
    publish_both(&hub, 1_001..=last);
    enter(&mut session, 8, Some(10), false);
    let expected = [numbers(11..=last), vec![replayed(last)]].concat();
    assert_eq!(sent(&mut session).await, expected);
}

#[tokio::test]
async fn rooms_that_are_asked_for_together_from_now_on_miss_nothing() {
    let hub = hub();
    let mut session = session(&hub);
    enter(&mut session, 7, None, true);
    let last = 10 + 4 * QUEUE as i64;
    publish_both(&hub, 11..=last);
    assert!(sent_now(&mut session).is_empty());
    enter(&mut session, 8, None, false);
    let expected = [numbers((11..=last).step_by(2)), vec![replayed(last)]].concat();
    assert_eq!(sent(&mut session).await, expected);
    publish_both(&hub, last + 1..=last + 2);
    assert_eq!(sent(&mut session).await, numbers(last + 1..=last + 2));
}

#[tokio::test]
async fn nothing_waits_for_a_subscription_that_was_refused() {
    let hub = hub();
    let mut session = session(&hub);
    enter(&mut session, 7, None, true);
    publish(&hub, [11]);
    let refused = json!({"type": "subscribe", "monitors": ["mine"]});
    assert_eq!(ask(&mut session, refused).await[0]["code"], "not_found");
    assert_eq!(sent(&mut session).await, numbers([11]));
}

/// Without `more` the position of the last message is the cursor all the same: a client that is cut off anywhere
/// and resumes from there misses no event of either room.
#[tokio::test]
async fn rooms_that_are_asked_for_one_by_one_during_a_replay_are_complete_up_to_the_last_message() {
    let hub = hub();
    let last = 3_000;
    publish_both(&hub, 11..=last);
    for pages_before in 0..4 {
        let mut session = session(&hub);
        let mut got: HashSet<i64> = HashSet::new();
        enter(&mut session, 7, Some(10), false);
        let mut largest = 10;
        for _ in 0..pages_before {
            let page = session.next_page().unwrap().await;
            got.extend(session.take_page(&page).0.iter().map(|event| position(event)));
            largest = *got.iter().max().unwrap();
        }
        let is_complete =
            |got: &HashSet<i64>, cursor: i64| (11..=cursor).all(|one| got.contains(&one));
        enter(&mut session, 8, Some(10), false);
        // The control: the largest position that was sent before is no cursor any more.
        assert_eq!(is_complete(&got, largest), pages_before == 0);
        let mut cursor = 10;
        while let Some(page) = session.next_page() {
            let page = page.await;
            for event in &session.take_page(&page).0 {
                assert!(position(event) > cursor, "positions grow");
                cursor = position(event);
                assert!(got.insert(cursor), "{cursor} comes again");
            }
            assert!(is_complete(&got, cursor), "{cursor} after {pages_before} pages");
        }
        assert!(is_complete(&got, last));
    }
}

#[tokio::test]
async fn a_slow_subscriber_is_told_and_misses_nothing() {
    let hub = hub();
    let mut session = session(&hub);
    ask(&mut session, json!({"type": "subscribe", "monitors": "all"})).await;
    let (queued, last) = (10 + QUEUE as i64, 20 + QUEUE as i64);
    publish(&hub, 11..=last);
    let all = sent(&mut session).await;
    let lagged = json!({"type": "lagged", "resume_after": queued});
    let expected =
        [numbers(11..=queued), vec![lagged], numbers(queued + 1..=last), vec![replayed(last)]];
    assert_eq!(all, expected.concat());
    publish(&hub, [last + 1]);
    assert_eq!(sent(&mut session).await, numbers([last + 1]));
}

#[tokio::test]
async fn a_queue_that_overflows_during_a_replay_is_no_fault_of_the_client() {
    let hub = hub();
    publish(&hub, 11..=20);
    let mut session = session(&hub);
    let message = json!({"type": "subscribe", "monitors": "all", "after": 10});
    ask(&mut session, message).await;
    let last = 30 + QUEUE as i64;
    publish(&hub, 21..=last);
    let all = sent(&mut session).await;
    assert_eq!(all, [numbers(11..=last), vec![replayed(last)]].concat());
}

#[tokio::test]
async fn asking_again_from_an_earlier_position_begins_there() {
    let hub = hub();
    let mut session = session(&hub);
    ask(&mut session, json!({"type": "subscribe", "monitors": "all"})).await;
    publish(&hub, 11..=13);
    assert_eq!(sent(&mut session).await, numbers(11..=13));
    publish(&hub, 14..=15);
    let message = json!({"type": "subscribe", "monitors": "all", "after": 12});
    ask(&mut session, message).await;
    assert_eq!(sent(&mut session).await, [numbers(13..=15), vec![replayed(15)]].concat());
}

#[tokio::test]
async fn who_unsubscribed_gets_nothing_more() {
    let hub = hub();
    let mut session = session(&hub);
    ask(&mut session, json!({"type": "subscribe", "monitors": "all"})).await;
    publish(&hub, [11]);
    ask(&mut session, json!({"type": "unsubscribe", "monitors": "all"})).await;
    publish(&hub, [12]);
    assert!(sent(&mut session).await.is_empty());
}

#[tokio::test]
async fn what_is_no_id_names_no_monitor() {
    let hub = hub();
    let mut session = session(&hub);
    let message = json!({"type": "subscribe", "monitors": ["mine"]});
    assert_eq!(ask(&mut session, message).await[0]["code"], "not_found");
    assert_eq!(ask(&mut session, json!("hello")).await[0]["code"], "malformed");
    assert_eq!(ask(&mut session, json!({"type": "ping"})).await, json!([{"type": "pong"}]));
}

#[tokio::test]
async fn a_session_that_ends_leaves_nothing_behind() {
    let hub = hub();
    let mut one = session(&hub);
    ask(&mut one, json!({"type": "subscribe", "monitors": "all"})).await;
    assert_eq!(hub.board().connections(), 1);
    drop(one);
    assert_eq!(hub.board().connections(), 0);
    publish(&hub, [11]);
}
