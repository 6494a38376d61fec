//! What the live feed does not take: each refused with an error or a close code, and nobody else
//! notices.

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use pulsetrail_domain::{OrganizationId, SessionId, UserId};
use pulsetrail_harness::{Feed, eventually, http_client};
use pulsetrail_infra::http::{AccessTokens, TokenClaims, secret_hash};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use uuid::Uuid;

use crate::cell::{CONNECTIONS, Cell, Reader, SECRET};

/// The codes of the errors among messages.
fn codes(messages: &[Value]) -> Vec<&str> {
    messages.iter().filter_map(|message| message["code"].as_str()).collect()
}

/// What a server lets somebody do who means harm. `foreign` is another tenant's monitor.
async fn tolerated(open: impl AsyncFn() -> Feed, foreign: &str) -> Vec<&'static str> {
    let mut tolerated = Vec::new();
    let mut judge = |refused: bool, what| {
        if !refused {
            tolerated.push(what);
        }
    };
    let mut feed = open().await;
    for text in ["", "{", "[]", "null", r#"{"type":"subscribe"}"#, "\u{0}", &"[".repeat(60_000)] {
        feed.send(Message::text(text)).await;
        judge(feed.next().await["code"] == "malformed", "a text that says nothing");
    }
    feed.send(Message::binary(vec![0xFF; 1_000])).await;
    judge(feed.next().await["code"] == "malformed", "a binary frame");
    feed.say(&json!({"type": "subscribe", "monitors": [foreign]})).await;
    judge(feed.next().await["code"] == "not_found", "another tenant's monitor");
    feed.say(&json!({"type": "ping"})).await;
    judge(feed.next().await == json!({"type": "pong"}), "no answer to what is right");

    for message in [
        Message::text("x".repeat(10 << 20)),
        Message::binary(vec![0; 10 << 20]),
        Message::text("x".repeat((64 << 10) + 1)),
    ] {
        let (heard, code) = open().await.send_and_hear([message, Message::Close(None)]).await;
        judge(codes(&heard) == ["too_large"] && code == Some(1009), "a message that is too large");
    }

    let flood = (0..50_000).map(|_| Message::text(r#"{"type":"subscribe","monitors":["x"]}"#));
    let (heard, code) = open().await.send_and_hear(flood.chain([Message::Close(None)])).await;
    let told = codes(&heard).last() == Some(&"too_many_requests");
    judge(told && code == Some(4429), "a flood");
    tolerated
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_should_send_is_refused_and_harms_nobody() {
    let cell = Cell::start().await;
    let (reader, hostile) = (cell.reader().await, cell.reader().await);
    let monitor = reader.monitor(0, "mine", json!({})).await;
    cell.projected().await;
    let mut bystander = reader.live().await;
    bystander.subscribe(json!([monitor.id]), None).await;
    let tolerated = tolerated(async || hostile.live().await, &monitor.id.to_string()).await;
    assert!(tolerated.is_empty(), "{tolerated:?}");
    let event = monitor.check(60, "up").await;
    let message = bystander.next_event().await;
    assert_eq!(message["position"], event);
}

#[tokio::test]
async fn control_a_server_that_takes_everything_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let careless = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut socket = accept_async_with_config(stream, Some(careless)).await.unwrap();
            tokio::spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    if !message.is_close() {
                        let answer = json!({"type": "subscribed", "position": 0});
                        socket.send(Message::text(answer.to_string())).await.unwrap();
                    }
                }
            });
        }
    });
    let monitor = Uuid::new_v4().to_string();
    let mut tolerated = tolerated(async || Feed::open(&url, "anybody").await, &monitor).await;
    tolerated.dedup();
    assert_eq!(
        tolerated,
        [
            "a text that says nothing",
            "a binary frame",
            "another tenant's monitor",
            "no answer to what is right",
            "a message that is too large",
            "a flood",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_can_be_in_ten_thousand_rooms_and_no_more() {
    let cell = Cell::start().await;
    let reader = cell.reader().await;
    let monitor = reader.monitor(0, "mine", json!({})).await;
    cell.projected().await;
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "with copies as (
            insert into monitor_view
            select (jsonb_populate_record(one, jsonb_build_object(
                        'monitor_id', gen_random_uuid(), 'name', number))).*
            from monitor_view one, generate_series(1, 10000) number
            returning monitor_id)
         select monitor_id from copies",
    )
    .fetch_all(&cell.store.read)
    .await
    .unwrap();
    let mut feed = reader.live().await;
    feed.subscribe(json!([monitor.id]), None).await;
    let (last, others) = ids.split_last().unwrap();
    for some in others.chunks(1_000) {
        feed.say(&json!({"type": "subscribe", "monitors": some})).await;
        while feed.next().await["type"] != "subscribed" {}
    }
    feed.say(&json!({"type": "subscribe", "monitors": [last]})).await;
    assert_eq!(feed.next().await["code"], "too_many_monitors");
    let event = monitor.check(60, "up").await;
    assert_eq!(feed.next_event().await["position"], event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_has_so_many_connections_and_another_person_has_their_own() {
    let cell = Cell::start().await;
    let (reader, other) = (cell.reader().await, cell.reader().await);
    let mut feeds = join_all((0..CONNECTIONS).map(|_| reader.live())).await;
    for feed in &mut feeds {
        feed.subscribe(json!("all"), None).await;
    }
    let (heard, code) = reader.live().await.until_closed().await;
    assert_eq!((codes(&heard).as_slice(), code), (["too_many_connections"].as_slice(), Some(4429)));
    assert_eq!(reader.refusal("/api/v1/live/sse").await, (429, "too_many_requests".to_owned()));
    other.live().await.subscribe(json!("all"), None).await;
    feeds.pop();
    eventually("there is room again", async || {
        let mut feed = reader.live().await;
        feed.say(&json!({"type": "ping"})).await;
        (feed.next().await["type"] == "pong").then_some(())
    })
    .await;
}

/// Waits until the feed is closed because its credential does not count any more.
async fn until_shown_out(mut feed: Feed) {
    let (heard, code) = feed.until_closed().await;
    assert_eq!((codes(&heard).as_slice(), code), (["unauthorized"].as_slice(), Some(4401)));
}

async fn opened(reader: &Reader<'_>, url: &str, token: &str) -> Feed {
    let mut feed = Feed::open(url, token).await;
    feed.subscribe(json!("all"), None).await;
    assert_eq!(reader.get("/api/v1/monitors").await.0, 200);
    feed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_with_its_session_its_key_its_membership_and_its_token() {
    let cell = Cell::start().await;
    let sql = async |statement: &str, id: Uuid| {
        let done = sqlx::query(statement).bind(id).execute(&cell.store.write).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{statement}");
    };
    let [signed_out, removed, keyed, brief, staying] = [
        cell.reader().await,
        cell.reader().await,
        cell.reader().await,
        cell.reader().await,
        cell.reader().await,
    ];
    sqlx::query(
        "insert into api_keys (api_key_id, organization_id, created_by, name, role, secret_hash, hint)
         values ($1, $2, $3, 'key', 'viewer', $4, '')",
    )
    .bind(Uuid::new_v4())
    .bind(keyed.organization_id)
    .bind(keyed.user_id)
    .bind(secret_hash("pt_a key of the tests"))
    .execute(&cell.store.write)
    .await
    .unwrap();
    let claims = TokenClaims {
        user_id: UserId(brief.user_id),
        organization_id: OrganizationId(brief.organization_id),
        session_id: SessionId(brief.session_id),
    };
    let (brief_token, _) = AccessTokens::new(SECRET, 2).issue(&claims).unwrap();

    let signed_out_feed = opened(&signed_out, &cell.url, &signed_out.token).await;
    let removed_feed = opened(&removed, &cell.url, &removed.token).await;
    let keyed_feed = opened(&keyed, &cell.url, "pt_a key of the tests").await;
    let brief_feed = Feed::open(&cell.url, &brief_token).await;
    let mut staying_feed = opened(&staying, &cell.url, &staying.token).await;
    let sse = http_client()
        .get(format!("{}/api/v1/live/sse", cell.url))
        .bearer_auth(&signed_out.token)
        .send()
        .await
        .unwrap();
    sql(
        "update sessions set revoked_at = clock_timestamp() where session_id = $1",
        signed_out.session_id,
    )
    .await;
    sql("delete from members where user_id = $1", removed.user_id).await;
    sql(
        "update api_keys set revoked_at = clock_timestamp() where organization_id = $1",
        keyed.organization_id,
    )
    .await;
    let feeds = [signed_out_feed, removed_feed, keyed_feed, brief_feed];
    join_all(feeds.map(until_shown_out)).await;
    assert!(sse.text().await.is_ok(), "the stream has an end");
    staying_feed.say(&json!({"type": "ping"})).await;
    assert_eq!(staying_feed.next().await, json!({"type": "pong"}));
}
