//! Changed and forgotten passwords.

use std::process::Stdio;

use pulsetrail_harness::Corner;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::Commands;
use super::access::{PASSWORD, register, request, status, text};
use crate::corner;

/// Signs in and returns the access token, or the status of the refusal.
async fn sign_in(commands: &Commands, email: &str, password: &str) -> Result<String, u16> {
    let body = json!({"email": email, "password": password});
    let answer = request(commands, Method::POST, "auth/login", "", &body).await;
    let refused = answer.status.as_u16();
    answer.body["access_token"].as_str().map(str::to_owned).ok_or(refused)
}

/// What `pulsetrail user reset-password` says, and whether it succeeded.
async fn reset(corner: &Corner, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = corner.command([&["user", "reset-password"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_ends_the_other_sessions() {
    let commands = Commands::start(&corner().await).await;
    let (email, session) = register(&commands).await;
    let own = text(&session["access_token"]);
    let other = sign_in(&commands, &email, PASSWORD).await.unwrap();
    assert_eq!((status(&commands, &own).await, status(&commands, &other).await), (200, 200));
    let body = json!({"current_password": PASSWORD, "new_password": "another password"});
    let changed = request(&commands, Method::PUT, "me/password", &own, &body).await;
    assert_eq!(changed.status, 204, "{}", changed.body);
    assert_eq!((status(&commands, &own).await, status(&commands, &other).await), (200, 401));
    assert_eq!(sign_in(&commands, &email, PASSWORD).await, Err(401));
    assert!(sign_in(&commands, &email, "another password").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_machine_replaces_a_forgotten_password() {
    let corner = corner().await;
    let commands = Commands::start(&corner).await;
    let (email, session) = register(&commands).await;
    let (other_email, other) = register(&commands).await;
    let tokens = [&session, &other].map(|session| text(&session["access_token"]));

    let (good, said) = reset(&corner, &[&email.to_uppercase()], "").await;
    assert!(good && said.contains("1 sessions ended"), "{said}");
    assert_eq!(status(&commands, &tokens[0]).await, 401);
    assert_eq!(status(&commands, &tokens[1]).await, 200, "another person's session goes on");
    assert_eq!(sign_in(&commands, &email, PASSWORD).await, Err(401));
    let password = said.lines().nth(1).unwrap();
    assert!(sign_in(&commands, &email, password).await.is_ok(), "{said}");
    assert!(sign_in(&commands, &other_email, PASSWORD).await.is_ok());

    // A password of their own choice is not printed.
    let chosen = "a password of my own";
    let (good, said) = reset(&corner, &[&email, "--stdin"], &format!("{chosen}\n")).await;
    assert!(good && !said.contains(chosen), "{said}");
    assert!(sign_in(&commands, &email, chosen).await.is_ok());
    let (good, said) = reset(&corner, &[&email, "--stdin"], "short\n").await;
    assert!(!good && said.contains("8 to 256 characters"), "{said}");
    let (good, said) = reset(&corner, &["nobody@example.com"], "").await;
    assert!(!good && said.contains("nobody has an account"), "{said}");

    assert_eq!(commands.events_of("account").await[2..], ["PasswordChanged", "PasswordChanged"]);
    let log: String =
        sqlx::query_scalar("select string_agg(payload::text || metadata::text, ' ') from events")
            .fetch_one(&commands.store.read)
            .await
            .unwrap();
    assert!(log.contains("command line") && !log.contains('@') && !log.contains("password of"));
}
