//! Limits that all servers of an installation share.

use std::net::IpAddr;
use std::num::NonZeroU32;

use pulsetrail_harness::{Corner, http_client, http_client_from};
use pulsetrail_infra::http::RateSettings;
use reqwest::Method;
use serde_json::{Value, json};

use super::Commands;
use super::access::{PASSWORD, register, request, text};
use crate::corner;

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

async fn start(corner: &Corner, rates: RateSettings) -> Commands {
    Commands::with(corner, |rules| rules.rates = rates).await
}

/// The statuses of attempts at servers in turns, and how long the last one was told to wait.
async fn attempts(
    servers: [&Commands; 2],
    path: &str,
    email: impl Fn(usize) -> String,
    count: usize,
) -> (Vec<u16>, Option<u64>) {
    let (mut statuses, mut wait) = (Vec::new(), None);
    for number in 0..count {
        let body = json!({"email": email(number), "password": PASSWORD});
        let url = format!("{}/api/v1/auth/{path}", servers[number % 2].url);
        let answer = http_client().post(url).json(&body).send().await.unwrap();
        statuses.push(answer.status().as_u16());
        let header = answer.headers().get("retry-after");
        wait = header.map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    }
    (statuses, wait)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_of_one_password_are_counted_at_all_servers_together() {
    let rates = RateSettings { sign_ins_a_minute: number(3), ..RateSettings::default() };
    let corner = corner().await;
    let (one, other) = (start(&corner, rates).await, start(&corner, rates).await);
    let ada = |_: usize| "ada@example.com".to_owned();
    let (statuses, wait) = attempts([&one, &other], "login", ada, 4).await;
    assert_eq!(statuses, [401, 401, 401, 429]);
    assert!((1..=20).contains(&wait.unwrap()), "{wait:?}");
    let (others, _) =
        attempts([&one, &other], "login", |_| "grace@example.com".to_owned(), 1).await;
    assert_eq!(others, [401], "another account is not concerned");
    // No address lies in the table, and the time heals.
    let rows: Vec<String> = sqlx::query_scalar("select rate_limits::text from rate_limits")
        .fetch_all(&one.store.read)
        .await
        .unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| !row.contains("ada")), "{rows:?}");
    let later = "update rate_limits set free_at = free_at - interval '1 minute'";
    sqlx::query(later).execute(&one.store.write).await.unwrap();
    assert_eq!(attempts([&other, &other], "login", ada, 1).await.0, [401]);

    // Two servers that share nothing let more guesses through: that would be seen.
    let apart = crate::corner().await;
    let (one, other) = (start(&corner, rates).await, start(&apart, rates).await);
    sqlx::query("truncate rate_limits").execute(&one.store.write).await.unwrap();
    assert_eq!(attempts([&one, &other], "login", ada, 4).await.0, [401; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_and_bad_credentials_are_counted_by_address_at_all_servers_together() {
    let rates = RateSettings { attempts_a_minute: number(4), ..RateSettings::default() };
    let corner = corner().await;
    let (one, other) = (start(&corner, rates).await, start(&corner, rates).await);
    let new = |number: usize| format!("{number}@example.com");
    assert_eq!(attempts([&one, &other], "register", new, 2).await.0, [201, 201]);
    let guess = async |commands: &Commands| {
        let me = format!("{}/api/v1/me", commands.url);
        http_client().get(me).bearer_auth("pt_guessed").send().await.unwrap().status().as_u16()
    };
    assert_eq!([guess(&one).await, guess(&other).await], [401, 401]);
    assert_eq!([guess(&one).await, guess(&other).await], [429, 429]);
    assert_eq!(attempts([&one, &other], "register", new, 2).await.0, [429, 429]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_use_of_keys_is_limited_by_key_and_by_address() {
    let corner = corner().await;
    for (by_key, by_address) in [(2, 100), (100, 2)] {
        let rates = RateSettings {
            key_requests_a_minute: number(by_key),
            address_key_requests_a_minute: number(by_address),
            ..RateSettings::default()
        };
        let commands = start(&corner, rates).await;
        sqlx::query("truncate rate_limits").execute(&commands.store.write).await.unwrap();
        let (_, owner) = register(&commands).await;
        let token = text(&owner["access_token"]);
        let (key, another) = (api_key(&commands, &token).await, api_key(&commands, &token).await);
        let mut statuses = Vec::new();
        for key in [&key, &key, &key, &another] {
            statuses.push(super::access::status(&commands, key).await);
        }
        let last = if by_key == 2 { 200 } else { 429 };
        assert_eq!(statuses, [200, 200, 429, last], "{by_key} a key, {by_address} an address");
        assert_eq!(super::access::status(&commands, &token).await, 200, "people are not concerned");
    }
}

async fn api_key(commands: &Commands, token: &str) -> String {
    let new = json!({"name": "key", "role": "viewer"});
    let made = request(commands, reqwest::Method::POST, "api-keys", token, &new).await;
    text(&made.body["secret"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_use_of_keys_is_counted_at_all_servers_together_in_shares() {
    let rates = RateSettings { key_requests_a_minute: number(1_000), ..RateSettings::default() };
    let corner = corner().await;
    let (one, other) = (start(&corner, rates).await, start(&corner, rates).await);
    let (_, owner) = register(&one).await;
    let key = api_key(&one, &text(&owner["access_token"])).await;
    let use_it = async |commands: &Commands| super::access::status(commands, &key).await;
    // A burst takes one share of ten, and not one each.
    let burst = tokio::join!(use_it(&one), use_it(&one), use_it(&one), use_it(&one));
    assert_eq!(burst, (200, 200, 200, 200));
    // Where a share is used up there is another, as long as the limit has any.
    for number in 0..10 {
        assert_eq!(use_it(&one).await, 200, "{number}");
    }
    // At all the others together it was used up meanwhile.
    let used_up = "update rate_limits set free_at = clock_timestamp() + interval '1 hour'";
    sqlx::query(used_up).execute(&one.store.write).await.unwrap();
    assert_eq!(use_it(&other).await, 429);
    let mut rest = Vec::new();
    for _ in 0..8 {
        rest.push(use_it(&one).await);
    }
    assert_eq!(rest, [200, 200, 200, 200, 200, 200, 429, 429], "what was left of the share");
    // A server that shares nothing knows nothing of it: that would be seen.
    let apart = start(&crate::corner().await, rates).await;
    let (_, owner) = register(&apart).await;
    let key = api_key(&apart, &text(&owner["access_token"])).await;
    assert_eq!(super::access::status(&apart, &key).await, 200);
}

/// What is answered to a request, and what its headers say of the limit.
async fn limited(
    commands: &Commands,
    method: Method,
    path: &str,
    token: &str,
    body: Value,
) -> Told {
    let answer = request(commands, method, path, token, &body).await;
    let header = |name: &str| {
        answer.headers.get(name).map(|value| value.to_str().unwrap().parse::<u64>().unwrap())
    };
    let [limit, remaining, reset] =
        ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(header);
    assert_eq!(reset, header("retry-after"), "{:?}", answer.headers);
    Told { status: answer.status.as_u16(), limit, remaining }
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    status: u16,
    limit: Option<u64>,
    remaining: Option<u64>,
}

fn let_through(status: u16) -> Told {
    Told { status, limit: None, remaining: None }
}

fn over(limit: u64) -> Told {
    Told { status: 429, limit: Some(limit), remaining: Some(0) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_access_tokens_are_limited_by_session_and_by_organization() {
    let corner = corner().await;
    for (by_session, reads, commanding) in [(3, 100, 100), (100, 3, 100), (100, 100, 3)] {
        let rates = RateSettings {
            session_requests_a_minute: number(by_session),
            organization_reads_a_minute: number(reads),
            organization_commands_a_minute: number(commanding),
            ..RateSettings::default()
        };
        let commands = start(&corner, rates).await;
        let (email, owner) = register(&commands).await;
        let login = json!({"email": email, "password": PASSWORD});
        let other = request(&commands, Method::POST, "auth/login", "", &login).await;
        let [one, other] = [&owner, &other.body].map(|session| text(&session["access_token"]));
        let read =
            async |token: &str| limited(&commands, Method::GET, "me", token, Value::Null).await;
        let command = async |token: &str| {
            let body = json!({"url": "https://example.com"});
            limited(&commands, Method::POST, "monitors", token, body).await
        };
        let case = format!("{by_session} a session, {reads} reads, {commanding} commands");
        match (by_session, reads) {
            (3, _) => {
                for expected in [let_through(200), let_through(200), let_through(200), over(3)] {
                    assert_eq!(read(&one).await, expected, "{case}");
                }
                assert_eq!(command(&one).await, over(3), "{case}");
                assert_eq!(read(&other).await, let_through(200), "another session: {case}");
            }
            (_, 3) => {
                for token in [&one, &one, &other] {
                    assert_eq!(read(token).await, let_through(200), "{case}");
                }
                assert_eq!([read(&one).await, read(&other).await], [over(3), over(3)], "{case}");
                assert_eq!(command(&one).await, let_through(201), "{case}");
            }
            _ => {
                for token in [&one, &one, &other] {
                    assert_eq!(command(token).await, let_through(201), "{case}");
                }
                assert_eq!([command(&one).await, command(&other).await], [over(3), over(3)]);
                assert_eq!(read(&one).await, let_through(200), "{case}");
            }
        }
        let (_, stranger) = register(&commands).await;
        let stranger = text(&stranger["access_token"]);
        assert_eq!(read(&stranger).await, let_through(200), "another organization: {case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_call_counts_as_many_commands_as_it_has_operations() {
    let rates =
        RateSettings { organization_commands_a_minute: number(4), ..RateSettings::default() };
    let commands = start(&corner().await, rates).await;
    let (_, owner) = register(&commands).await;
    let token = text(&owner["access_token"]);
    let bulk = async |operations: usize| {
        let one = json!({"action": "register", "monitor": {"url": "https://example.com"}});
        let body = json!({"operations": vec![one; operations]});
        limited(&commands, Method::POST, "monitors/bulk", &token, body).await
    };
    assert_eq!(bulk(2).await, let_through(200));
    assert_eq!(bulk(3).await, over(4));
    // What is left is for a smaller call; the one that was refused counted as one.
    assert_eq!(bulk(1).await, let_through(200));
    assert_eq!(bulk(1).await, over(4));
    assert_eq!(commands.events().await, 3);
}

/// A loop of targets that are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_fill_the_log_no_faster_than_they_may() {
    let rates =
        RateSettings { organization_refusals_a_minute: number(3), ..RateSettings::default() };
    let commands = start(&corner().await, rates).await;
    let (_, owner) = register(&commands).await;
    let token = text(&owner["access_token"]);
    let refused = json!({"url": "http://127.0.0.1/"});
    let mut told = Vec::new();
    for _ in 0..20 {
        told.push(limited(&commands, Method::POST, "monitors", &token, refused.clone()).await);
    }
    let (judged, rest) = told.split_at(3);
    assert!(judged.iter().all(|told| *told == let_through(422)), "{judged:?}");
    assert!(rest.iter().all(|told| *told == over(3)), "{rest:?}");
    let one = json!({"action": "register", "monitor": refused});
    let bulk = json!({"operations": vec![one; 20]});
    request(&commands, Method::POST, "monitors/bulk", &token, &bulk).await;
    assert_eq!(commands.events_of("egress").await.len(), 3);
    // What is permitted is registered meanwhile, and others have refusals of their own.
    let good = json!({"url": "https://example.com"});
    let good = limited(&commands, Method::POST, "monitors", &token, good).await;
    assert_eq!(good, let_through(201));
    let (_, stranger) = register(&commands).await;
    let stranger = text(&stranger["access_token"]);
    let theirs = limited(&commands, Method::POST, "monitors", &stranger, refused).await;
    assert_eq!(theirs, let_through(422));
    assert_eq!(commands.events_of("egress").await.len(), 4);
}

/// A sign-in to an account from an address of this machine.
async fn sign_in(commands: &Commands, email: &str, password: &str, from: [u8; 4]) -> u16 {
    let body = json!({"email": email, "password": password});
    let url = format!("{}/api/v1/auth/login", commands.url);
    let request = http_client_from(IpAddr::from(from)).post(url);
    request.json(&body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_of_strangers_do_not_lock_the_right_person_out() {
    let rates = RateSettings {
        sign_ins_a_minute: number(2),
        account_sign_ins_a_minute: number(3),
        ..RateSettings::default()
    };
    let commands = start(&corner().await, rates).await;
    let (email, _) = register(&commands).await;
    let (home, elsewhere) = ([127, 0, 0, 1], [127, 0, 0, 9]);
    let guess = async |from: [u8; 4]| sign_in(&commands, &email, "wrong horse battery", from).await;
    // A stranger alone stops nobody else.
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(guess([127, 0, 0, 2]).await);
    }
    assert_eq!(told, [401, 401, 429]);
    assert_eq!(sign_in(&commands, &email, PASSWORD, elsewhere).await, 200);
    // Many strangers reach the limit of the account, for any place that is not known.
    sqlx::query(
        "delete from known_addresses where seen_at > (select min(seen_at) from known_addresses)",
    )
    .execute(&commands.store.write)
    .await
    .unwrap();
    assert_eq!(guess([127, 0, 0, 3]).await, 429);
    assert_eq!(sign_in(&commands, &email, PASSWORD, elsewhere).await, 429);
    assert_eq!(sign_in(&commands, &email, PASSWORD, home).await, 200, "where they registered");
    // A place is known by nothing that others could read, and no other account's.
    let kept: Vec<String> = sqlx::query_scalar("select known_addresses::text from known_addresses")
        .fetch_all(&commands.store.read)
        .await
        .unwrap();
    assert!(kept.len() == 1 && !kept[0].contains("127.0.0"), "{kept:?}");
    sqlx::query("delete from known_addresses").execute(&commands.store.write).await.unwrap();
    assert_eq!(sign_in(&commands, &email, PASSWORD, home).await, 429, "the control");
}
