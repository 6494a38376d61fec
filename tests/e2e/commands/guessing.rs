//! Guesses of tokens, and tokens whose time is over.

use std::net::IpAddr;
use std::num::NonZeroU32;

use pulsetrail_harness::http_client_from;
use pulsetrail_infra::http::RateSettings;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Commands;
use super::access::{register, request, status, text};
use crate::corner;

/// Guesses before an address is told to wait.
const ATTEMPTS: usize = 5;

/// The statuses of requests from an address of this machine.
async fn tried(
    commands: &Commands,
    from: [u8; 4],
    path: &str,
    token: &str,
    bodies: impl IntoIterator<Item = Value>,
) -> Vec<u16> {
    let client = http_client_from(IpAddr::from(from));
    let mut statuses = Vec::new();
    for body in bodies {
        let post = client.post(format!("{}/api/v1/{path}", commands.url)).bearer_auth(token);
        statuses.push(post.json(&body).send().await.unwrap().status().as_u16());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_of_refresh_and_invitation_tokens_are_counted_by_address() {
    let attempts_a_minute = NonZeroU32::new(ATTEMPTS as u32).unwrap();
    let rates = RateSettings { attempts_a_minute, ..RateSettings::default() };
    let commands = Commands::with(&corner().await, |rules| rules.rates = rates).await;
    let (_, session) = register(&commands).await;
    let access = text(&session["access_token"]);
    let guess = || Uuid::new_v4().simple().to_string();
    let (named, _) = session["refresh_token"].as_str().unwrap().split_once('.').unwrap();
    let refresh = || json!({"refresh_token": format!("{named}.{}{}", guess(), guess())});
    let invitation = || json!({"token": format!("{}{}", guess(), guess())});
    for (last, path, refused, body) in [
        (2, "auth/refresh", 401, &refresh as &dyn Fn() -> Value),
        (3, "invitations/accept", 404, &invitation),
    ] {
        let guesses = (0..=ATTEMPTS).map(|_| body());
        let told = tried(&commands, [127, 0, 0, last], path, &access, guesses).await;
        assert_eq!(told[..ATTEMPTS], [refused; ATTEMPTS], "{path}");
        assert_eq!(told[ATTEMPTS], 429, "{path}");
        // The control: another address is told what it was told before.
        let elsewhere = tried(&commands, [127, 0, 0, last + 2], path, &access, [body()]).await;
        assert_eq!(elsewhere, [refused], "{path}");
    }
    assert_eq!(status(&commands, &access).await, 200, "the session goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_is_good_until_its_time_is_over() {
    let commands = Commands::start(&corner().await).await;
    let (_, owner) = register(&commands).await;
    let owner = text(&owner["access_token"]);
    let mut told = Vec::new();
    for ends_in in ["-1 second", "1 hour"] {
        let (email, guest) = register(&commands).await;
        let body = json!({"email": email, "role": "viewer"});
        let invited = request(&commands, Method::POST, "invitations", &owner, &body).await;
        assert_eq!(invited.status, 201, "{}", invited.body);
        sqlx::query(
            "update invitations set expires_at = clock_timestamp() + $1::text::interval
             where accepted_by is null",
        )
        .bind(ends_in)
        .execute(&commands.store.write)
        .await
        .unwrap();
        let token = json!({"token": invited.body["token"]});
        let guest = text(&guest["access_token"]);
        let joined = request(&commands, Method::POST, "invitations/accept", &guest, &token).await;
        told.push(joined.status.as_u16());
    }
    assert_eq!(told, [404, 200]);
}
