//! Getting in.

use pulsetrail_harness::{Answer, User, http_client};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::Commands;
use crate::corner;

async fn post(url: &str, path: &str, body: Value) -> Answer {
    let response = http_client().post(format!("{url}{path}")).json(&body).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.text().await.unwrap();
    Answer { status, headers, body: serde_json::from_str(&body).unwrap_or_default() }
}

async fn register(commands: &Commands, email: &str) -> Answer {
    let body = json!({"email": email, "password": "correct horse", "name": "Ada"});
    post(&commands.url, "/api/v1/auth/register", body).await
}

async fn login(commands: &Commands, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    post(&commands.url, "/api/v1/auth/login", body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_registers_is_signed_in_and_owns_an_organization() {
    let commands = Commands::start(&corner().await).await;
    let registered = register(&commands, " Ada@Example.com ").await;
    assert_eq!(registered.status, StatusCode::CREATED, "{}", registered.body);
    assert_eq!(registered.headers["cache-control"], "no-store");
    assert_eq!(registered.body["user"]["email"], "ada@example.com");
    assert_eq!(registered.body["user"]["name"], "Ada");
    assert_eq!(registered.body["organization"]["name"], "Ada's organization");
    assert_eq!(registered.body["expires_in"], 900);

    let back = login(&commands, "ADA@example.com", "correct horse").await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.body);
    assert_eq!(back.body["user"], registered.body["user"]);
    assert_eq!(back.body["organization"], registered.body["organization"]);
    let me = http_client()
        .get(format!("{}/api/v1/me", commands.url))
        .bearer_auth(back.body["access_token"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let me: Value = me.json().await.unwrap();
    assert_eq!(me["user"], registered.body["user"]);
    assert_eq!(me["role"], "owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_one_account_also_when_two_ask_at_once() {
    let commands = Commands::start(&corner().await).await;
    let both = tokio::join!(
        register(&commands, "ada@example.com"),
        register(&commands, "ADA@example.com")
    );
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let again = register(&commands, "ada@example.com").await;
    assert_eq!((again.status.as_u16(), &again.body["code"]), (409, &json!("email_taken")));
    // Nothing is left of those that were refused.
    let organizations = sqlx::query_scalar::<_, i64>("select count(*) from organizations");
    assert_eq!(organizations.fetch_one(&commands.store.read).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_address_are_refused_alike() {
    let commands = Commands::start(&corner().await).await;
    register(&commands, "ada@example.com").await;
    let wrong = login(&commands, "ada@example.com", "correct horsf").await;
    let unknown = login(&commands, "grace@example.com", "correct horse").await;
    for refused in [&wrong, &unknown] {
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.body["code"], "invalid_credentials");
        assert_eq!(refused.headers["content-type"], "application/problem+json");
    }
    assert_eq!(wrong.body, unknown.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_installation_takes_its_first_person_and_no_more() {
    let commands = Commands::with_registration(&corner().await, false).await;
    let (a, b, c) = tokio::join!(
        register(&commands, "a@example.com"),
        register(&commands, "b@example.com"),
        register(&commands, "c@example.com")
    );
    let mut statuses = [a, b, c].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403, 403]);
    let later = register(&commands, "d@example.com").await;
    assert_eq!((later.status.as_u16(), &later.body["code"]), (403, &json!("registration_closed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_named_in_the_log_by_their_id_alone() {
    let commands = Commands::start(&corner().await).await;
    let user = User::sign_up(&commands.url).await;
    let answer = user.post("/api/v1/monitors", &json!({"url": "https://example.org"})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    let log: String =
        sqlx::query_scalar("select string_agg(payload::text || metadata::text, ' ') from events")
            .fetch_one(&commands.store.read)
            .await
            .unwrap();
    assert!(!log.contains('@') && log.contains("actor"), "{log}");
}

/// What takes time in a login is the hash: 20 ms, where all else takes 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_does_the_same_work_whether_there_is_an_account_or_not() {
    let commands = Commands::start(&corner().await).await;
    register(&commands, "ada@example.com").await;
    let work = async |email: &str, password: &str| {
        let before = commands.passwords.computed();
        let status = login(&commands, email, password).await.status.as_u16();
        (status, commands.passwords.computed() - before)
    };
    assert_eq!(work("ada@example.com", "correct horse").await, (200, 1));
    assert_eq!(work("ada@example.com", "correct horsf").await, (401, 1));
    assert_eq!(work("grace@example.com", "correct horsf").await, (401, 1));
    // Whoever was erased is like somebody who never was.
    sqlx::query("delete from users").execute(&commands.store.write).await.unwrap();
    assert_eq!(work("ada@example.com", "correct horse").await, (401, 1));
    // No account can have such an address: here a quick no tells nothing, and is seen to be quick.
    assert_eq!(work("ada", "correct horse").await, (401, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_passwords_is_told_to_wait() {
    let commands = Commands::start(&corner().await).await;
    register(&commands, "ada@example.com").await;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let url = commands.url.clone();
        guesses.spawn(async move {
            let body = json!({"email": "ada@example.com", "password": "correct horsf"});
            post(&url, "/api/v1/auth/login", body).await
        });
    }
    let answers = guesses.join_all().await;
    let refused: Vec<&Answer> =
        answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    assert!(!refused.is_empty());
    assert_eq!(refused[0].body["code"], "too_many_requests");
    let wait: u64 = refused[0].headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    let other = login(&commands, "grace@example.com", "correct horsf").await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED, "another account is not concerned");
}
