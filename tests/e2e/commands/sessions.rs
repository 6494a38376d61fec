//! A session that somebody else prepared stays somebody else's.

use pulsetrail_harness::http_client;
use reqwest::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Commands;
use super::access::PASSWORD;
use crate::corner;

/// A browser's request, with the cookies that it has.
async fn browse(commands: &Commands, path: &str, cookies: &str, body: Option<&Value>) -> Response {
    let url = format!("{}/api/v1/{path}", commands.url);
    let request = http_client().post(url).header("cookie", cookies).header("origin", &commands.url);
    match body {
        Some(body) => request.json(body).send().await.unwrap(),
        None => request.send().await.unwrap(),
    }
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(response: &Response) -> String {
    let set = response.headers().get_all("set-cookie").iter();
    let pairs = set.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned());
    pairs.collect::<Vec<_>>().join("; ")
}

async fn sign_up(commands: &Commands, email: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD, "cookies": true});
    let response = browse(commands, "auth/register", "", Some(&body)).await;
    assert_eq!(response.status(), 201);
    cookies(&response)
}

/// Whom a session leads to, by its refresh token, and the cookies that follow; none where to nobody.
async fn leads_to(commands: &Commands, session: &str) -> Option<(String, String)> {
    let response = browse(commands, "auth/refresh", session, None).await;
    let next = cookies(&response);
    let body: Value = response.json().await.unwrap();
    Some((body["user"]["email"].as_str()?.to_owned(), next))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_planted_before_a_sign_in_does_not_lead_to_the_person() {
    let commands = Commands::start(&corner().await).await;
    let (attacker, victim) = ("mallory@example.com", "ada@example.com");
    let planted = sign_up(&commands, attacker).await;
    sign_up(&commands, victim).await;
    // The victim's browser has the attacker's cookies when the victim signs in.
    let login = json!({"email": victim, "password": PASSWORD, "cookies": true});
    let response = browse(&commands, "auth/login", &planted, Some(&login)).await;
    assert_eq!(response.status(), 200);
    let own = cookies(&response);
    for pair in own.split("; ") {
        assert!(!planted.contains(pair), "{pair} was there before");
    }
    let (whose, planted) = leads_to(&commands, &planted).await.unwrap();
    assert_eq!(whose, attacker, "a sign-in changes no session that there was");
    assert_eq!(leads_to(&commands, &own).await.unwrap().0, victim);

    // A session that nobody began is not begun by naming it.
    let made_up = format!("pulsetrail_session=a.b.c; pulsetrail_refresh={}.x", Uuid::new_v4());
    let response = browse(&commands, "auth/login", &made_up, Some(&login)).await;
    assert_eq!(response.status(), 200);
    assert!(leads_to(&commands, &made_up).await.is_none());

    // A sign-in that took over the session it came with would be seen.
    sqlx::query(
        "update sessions set user_id = victim.user_id, organization_id = members.organization_id
         from users as victim join members using (user_id), users as attacker
         where victim.email = $1 and attacker.email = $2 and sessions.user_id = attacker.user_id",
    )
    .bind(victim)
    .bind(attacker)
    .execute(&commands.store.write)
    .await
    .unwrap();
    assert_eq!(leads_to(&commands, &planted).await.unwrap().0, victim);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_deletes_sessions_that_ended_long_ago() {
    let commands = Commands::start(&corner().await).await;
    let email = "ada@example.com";
    sign_up(&commands, email).await;
    let ended = [
        ("over", "expires_at", "25 hours"),
        ("revoked", "revoked_at", "25 hours"),
        ("just over", "expires_at", "23 hours"),
        ("just revoked", "revoked_at", "23 hours"),
    ];
    let mut ids = Vec::new();
    for (_, column, ago) in ended {
        let id: Uuid = sqlx::query_scalar(
            "insert into sessions (session_id, user_id, organization_id, refresh_hash, expires_at)
             select gen_random_uuid(), user_id, organization_id, '', clock_timestamp() + interval '1 day'
             from sessions limit 1 returning session_id",
        )
        .fetch_one(&commands.store.write)
        .await
        .unwrap();
        let end = format!(
            "update sessions set {column} = clock_timestamp() - $2::text::interval where session_id = $1"
        );
        sqlx::query(&end).bind(id).bind(ago).execute(&commands.store.write).await.unwrap();
        ids.push(id);
    }
    let login = json!({"email": email, "password": PASSWORD, "cookies": true});
    assert_eq!(browse(&commands, "auth/login", "", Some(&login)).await.status(), 200);
    let kept: Vec<Uuid> = sqlx::query_scalar("select session_id from sessions")
        .fetch_all(&commands.store.read)
        .await
        .unwrap();
    let is_kept = |pair: &(_, &Uuid)| kept.contains(pair.1);
    let names: Vec<&str> =
        ended.iter().zip(&ids).filter(is_kept).map(|((name, ..), _)| *name).collect();
    assert_eq!(names, ["just over", "just revoked"]);
    assert_eq!(kept.len(), 4, "and those of the person: of the registration and of the sign-in");
}
