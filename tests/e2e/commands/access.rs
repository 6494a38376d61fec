//! Sessions, members and invitations.

use pulsetrail_harness::{Answer, User, http_client};
use pulsetrail_infra::http::secret_hash;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Commands;
use crate::corner;

pub(super) const PASSWORD: &str = "correct horse battery";

/// A registration's answer, and the address.
pub(super) async fn register(commands: &Commands) -> (String, Value) {
    let email = format!("{}@example.com", Uuid::new_v4());
    let body = json!({"email": email, "password": PASSWORD});
    let answer = post(commands, "auth/register", "", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
    (email, answer.body)
}

pub(super) async fn request(
    commands: &Commands,
    method: Method,
    path: &str,
    token: &str,
    body: &Value,
) -> Answer {
    let request = http_client().request(method, format!("{}/api/v1/{path}", commands.url));
    let request = request.bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(body) };
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
    Answer { status, headers, body }
}

async fn post(commands: &Commands, path: &str, token: &str, body: &Value) -> Answer {
    request(commands, Method::POST, path, token, body).await
}

pub(super) async fn status(commands: &Commands, token: &str) -> u16 {
    let answer = request(commands, Method::GET, "me", token, &Value::Null).await;
    answer.status.as_u16()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session() {
    let commands = Commands::start(&corner().await).await;
    let (_, session) = register(&commands).await;
    let refresh = |token: String| {
        let body = json!({ "refresh_token": token });
        let commands = &commands;
        async move { post(commands, "auth/refresh", "", &body).await }
    };
    let first = refresh(text(&session["refresh_token"])).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.body);
    let second = refresh(text(&first.body["refresh_token"])).await;
    assert_eq!(second.status, StatusCode::OK, "{}", second.body);
    let access = text(&second.body["access_token"]);
    assert_eq!(status(&commands, &access).await, 200);

    // Whoever knows the session, from an access token, makes up what they like; and a token from before the
    // former one was given up by everybody.
    let newest = text(&second.body["refresh_token"]);
    let (named, secret) = newest.split_once('.').unwrap();
    let former = text(&first.body["refresh_token"]);
    for guess in [
        format!("{named}."),
        format!("{named}.x"),
        format!("{named}.{}", secret.to_uppercase()),
        format!("{former}0"),
        text(&session["refresh_token"]),
    ] {
        let refused = refresh(guess).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.body["code"], "invalid_refresh_token");
    }
    assert_eq!(status(&commands, &access).await, 200, "the session goes on");
    assert_eq!(commands.events_of("account").await, ["AccountRegistered"]);

    let reused = refresh(text(&first.body["refresh_token"])).await;
    assert_eq!(reused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reused.body["code"], "invalid_refresh_token");
    assert_eq!(status(&commands, &access).await, 401, "the whole session has ended");
    let newest = refresh(text(&second.body["refresh_token"])).await;
    assert_eq!(newest.status, StatusCode::UNAUTHORIZED);
    assert_eq!(commands.events_of("account").await, ["AccountRegistered", "RefreshTokenReused"]);
    for nonsense in ["", "x", "pt_1", &format!("{}.x", Uuid::new_v4().simple())] {
        assert_eq!(refresh(nonsense.to_owned()).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_or_changes_the_password_ends_sessions() {
    let commands = Commands::start(&corner().await).await;
    let (email, first) = register(&commands).await;
    let login = json!({"email": email, "password": PASSWORD});
    let second = post(&commands, "auth/login", "", &login).await.body;
    let (first, second) = (text(&first["access_token"]), text(&second["access_token"]));
    let out = post(&commands, "auth/logout", &first, &json!({})).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!((status(&commands, &first).await, status(&commands, &second).await), (401, 200));
    let again = post(&commands, "auth/logout", &first, &json!({})).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "without a key it is another request");

    let third = post(&commands, "auth/login", "", &login).await.body;
    let third = text(&third["access_token"]);
    let change =
        |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let put = async |body: Value| {
        request(&commands, Method::PUT, "me/password", &second, &body).await.status.as_u16()
    };
    assert_eq!(put(change("wrong horse battery", "another horse")).await, 401);
    assert_eq!(put(change(PASSWORD, "short")).await, 422);
    assert_eq!(put(change(PASSWORD, "another horse")).await, 204);
    assert_eq!((status(&commands, &second).await, status(&commands, &third).await), (200, 401));
    assert_eq!(post(&commands, "auth/login", "", &login).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(commands.events_of("account").await, ["AccountRegistered", "PasswordChanged"]);
}

/// Whoever lost the answer asks again, with a token that is not good any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_that_is_sent_again_with_its_key_is_answered_again_and_opens_nothing() {
    let commands = Commands::start(&corner().await).await;
    let (email, session) = register(&commands).await;
    let login = json!({"email": email, "password": PASSWORD});
    let other = text(&post(&commands, "auth/login", "", &login).await.body["access_token"]);
    let token = text(&session["access_token"]);
    let out = async |token: &str, key: &str, body: &Value| {
        let url = format!("{}/api/v1/auth/logout", commands.url);
        let request = http_client().post(url).bearer_auth(token).header("idempotency-key", key);
        request.json(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(out(&token, "k", &json!({"session_id": "all"})).await, 422);
    assert_eq!(status(&commands, &token).await, 200, "what was refused had no effect");
    for _ in 0..2 {
        assert_eq!(out(&token, "k", &json!({})).await, 204);
        assert_eq!(status(&commands, &token).await, 401);
    }
    assert_eq!(out(&token, "l", &json!({})).await, 401, "another key is another request");
    let forged = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(out(&forged, "k", &json!({})).await, 401, "no token of ours");
    // The same key in another session is another request, and has its own effect.
    assert_eq!(status(&commands, &other).await, 200);
    assert_eq!(out(&other, "k", &json!({})).await, 204);
    assert_eq!(status(&commands, &other).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_its_tokens_in_cookies_that_only_its_own_pages_can_use() {
    let commands = Commands::start(&corner().await).await;
    let email = format!("{}@example.com", Uuid::new_v4());
    let body = json!({"email": email, "password": PASSWORD, "cookies": true});
    let answer = post(&commands, "auth/register", "", &body).await;
    assert_eq!(
        (&answer.body["access_token"], &answer.body["refresh_token"]),
        (&Value::Null, &Value::Null)
    );
    let set: Vec<&str> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .collect();
    assert_eq!(set.len(), 2);
    assert!(set.iter().all(|cookie| cookie.ends_with("; HttpOnly; SameSite=Strict")), "{set:?}");
    let pair = |cookie: &str| cookie.split(';').next().unwrap().to_owned();
    let (session, refresh) = (pair(set[0]), pair(set[1]));
    let host = commands.url.strip_prefix("http://").unwrap();
    let send = async |method: Method, path: &str, cookie: &str, origin: Option<&str>| {
        let url = format!("{}/api/v1/{path}", commands.url);
        let mut request = http_client().request(method, url).header("cookie", cookie);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.headers().get_all("set-cookie").iter().count())
    };
    let own = format!("http://{host}");
    assert_eq!(send(Method::GET, "me", &session, None).await.0, 200);
    assert_eq!(send(Method::POST, "auth/logout", &session, None).await.0, 403);
    assert_eq!(send(Method::POST, "auth/logout", &session, Some("http://evil.test")).await.0, 403);
    assert_eq!(send(Method::POST, "auth/refresh", &refresh, Some("http://evil.test")).await.0, 403);
    assert_eq!(send(Method::POST, "auth/refresh", &refresh, Some(&own)).await, (200, 2));
    assert_eq!(send(Method::POST, "auth/logout", &session, Some(&own)).await, (204, 2));
    assert_eq!(send(Method::GET, "me", &session, None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_lets_in_who_was_invited_and_roles_count_at_once() {
    let commands = Commands::start(&corner().await).await;
    let (_, owner) = register(&commands).await;
    let (email, guest) = register(&commands).await;
    let (_, stranger) = register(&commands).await;
    let organization = text(&owner["organization"]["id"]);
    let owner_token = text(&owner["access_token"]);
    let invited =
        post(&commands, "invitations", &owner_token, &json!({"email": email, "role": "editor"}))
            .await;
    assert_eq!(invited.status, StatusCode::CREATED, "{}", invited.body);
    let token = json!({"token": invited.body["token"]});
    let stolen =
        post(&commands, "invitations/accept", &text(&stranger["access_token"]), &token).await;
    assert_eq!(stolen.status, StatusCode::NOT_FOUND);
    let guest_token = text(&guest["access_token"]);
    for _ in 0..2 {
        let joined = post(&commands, "invitations/accept", &guest_token, &token).await;
        assert_eq!((joined.status, &joined.body["role"]), (StatusCode::OK, &json!("editor")));
    }
    let switch = format!("organizations/{organization}/switch");
    let session = post(&commands, &switch, &guest_token, &json!({})).await;
    assert_eq!(session.body["organization"]["id"], organization.as_str(), "{}", session.body);
    let there = text(&session.body["access_token"]);
    let new = json!({"url": "https://example.com"});
    assert_eq!(post(&commands, "monitors", &there, &new).await.status, StatusCode::CREATED);
    let members = request(&commands, Method::GET, "members", &there, &Value::Null).await;
    assert_eq!(members.body["items"].as_array().unwrap().len(), 2, "{}", members.body);
    // An editor manages nobody.
    let guest_id = text(&guest["user"]["id"]);
    let owner_id = text(&owner["user"]["id"]);
    let viewer = json!({"role": "viewer"});
    let member = |id: &str| format!("members/{id}");
    let refused = request(&commands, Method::PATCH, &member(&guest_id), &there, &viewer).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let patched =
        request(&commands, Method::PATCH, &member(&guest_id), &owner_token, &viewer).await;
    assert_eq!((patched.status, &patched.body["role"]), (StatusCode::OK, &json!("viewer")));
    assert_eq!(post(&commands, "monitors", &there, &new).await.status, StatusCode::FORBIDDEN);
    let last = request(&commands, Method::PATCH, &member(&owner_id), &owner_token, &viewer).await;
    assert_eq!((last.status, &last.body["code"]), (StatusCode::CONFLICT, &json!("last_owner")));

    let removed =
        request(&commands, Method::DELETE, &member(&guest_id), &owner_token, &Value::Null).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(status(&commands, &there).await, 401, "a removed member's token is not good");
    assert_eq!(
        status(&commands, &guest_token).await,
        200,
        "their own organization is still theirs"
    );
    let again = post(&commands, "invitations/accept", &guest_token, &token).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "an invitation is good once");
    let events = commands.events_of("organization").await;
    let managed = &events[events.len() - 4..];
    assert_eq!(managed, ["MemberInvited", "MemberJoined", "MemberRoleChanged", "MemberRemoved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_ends_with_its_makers_right_to_make_it() {
    let commands = Commands::start(&corner().await).await;
    let (_, first) = register(&commands).await;
    let (second_email, second) = register(&commands).await;
    let (alias_email, alias) = register(&commands).await;
    let [first, second_token, alias] =
        [&first, &second, &alias].map(|session| text(&session["access_token"]));
    let invite = async |by: &str, email: &str| {
        let body = json!({"email": email, "role": "owner"});
        let invited = post(&commands, "invitations", by, &body).await;
        assert_eq!(invited.status, StatusCode::CREATED, "{}", invited.body);
        json!({"token": invited.body["token"]})
    };
    let accept =
        async |who: &str, token: &Value| post(&commands, "invitations/accept", who, token).await;
    let joined = accept(&second_token, &invite(&first, &second_email).await).await;
    let switch = format!("organizations/{}/switch", text(&joined.body["id"]));
    let there = post(&commands, &switch, &second_token, &json!({})).await;
    let there = text(&there.body["access_token"]);
    let second_id = format!("members/{}", text(&second["user"]["id"]));

    // An owner who is demoted does not come back by what they gave to themselves before.
    let open = invite(&there, &alias_email).await;
    let set_role = async |role: &str| {
        let body = json!({ "role": role });
        let changed = request(&commands, Method::PATCH, &second_id, &first, &body).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    };
    set_role("editor").await;
    assert_eq!(accept(&alias, &open).await.status, StatusCode::NOT_FOUND);
    set_role("owner").await;
    assert_eq!(accept(&alias, &open).await.status, StatusCode::NOT_FOUND, "it was withdrawn");

    // Nor one who is removed, or whose invitation came at the same moment.
    let (open, crossing) = (invite(&there, &alias_email).await, invite(&there, &alias_email).await);
    let hidden = "update invitations set invited_by = $2 where token_hash = $1";
    let give = async |owner: Uuid| {
        let hash = secret_hash(crossing["token"].as_str().unwrap());
        sqlx::query(hidden).bind(hash).bind(owner).execute(&commands.store.write).await.unwrap();
    };
    let [first_id, second_uuid]: [Uuid; 2] = {
        let me = request(&commands, Method::GET, "me", &first, &Value::Null).await;
        [&me.body["user"]["id"], &second["user"]["id"]]
            .map(|id| id.as_str().unwrap().parse().unwrap())
    };
    give(first_id).await;
    let removed = request(&commands, Method::DELETE, &second_id, &first, &Value::Null).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    give(second_uuid).await;
    for token in [&open, &crossing] {
        assert_eq!(accept(&alias, token).await.status, StatusCode::NOT_FOUND);
    }
    let events = commands.events_of("organization").await;
    let withdrawn = events.iter().filter(|name| *name == "InvitationWithdrawn").count();
    assert_eq!(withdrawn, 2, "{events:?}");
    // The control: of somebody who may invite it is good.
    give(first_id).await;
    assert_eq!(accept(&alias, &crossing).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_the_log_leads_to_a_person_who_was_erased() {
    let commands = Commands::start(&corner().await).await;
    let (email, session) = register(&commands).await;
    let token = text(&session["access_token"]);
    post(&commands, "monitors", &token, &json!({"url": "https://example.com"})).await;
    let erase = async |password: &str| {
        request(&commands, Method::DELETE, "me", &token, &json!({"password": password}))
            .await
            .status
    };
    assert_eq!(erase("wrong horse battery").await, StatusCode::UNAUTHORIZED);
    assert_eq!(erase(PASSWORD).await, StatusCode::NO_CONTENT);
    assert_eq!(status(&commands, &token).await, 401);
    let login = json!({"email": email, "password": PASSWORD});
    assert_eq!(post(&commands, "auth/login", "", &login).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(commands.events_of("monitor").await, ["MonitorRegistered", "MonitorArchived"]);
    assert_eq!(commands.events_of("account").await, ["AccountRegistered", "AccountErased"]);
    let local = email.split('@').next().unwrap();
    let traces: i64 = sqlx::query_scalar(
        "select (select count(*) from events where payload::text || metadata::text like $1)
              + (select count(*) from users) + (select count(*) from organizations)
              + (select count(*) from sessions)",
    )
    .bind(format!("%{local}%"))
    .fetch_one(&commands.store.read)
    .await
    .unwrap();
    assert_eq!(traces, 0);
    // The address is free again.
    assert_eq!(post(&commands, "auth/register", "", &login).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_person_runs_the_installation_and_nobody_else_does() {
    let commands = Commands::start(&corner().await).await;
    let operator = |session: &Value| session["user"]["operator"].as_bool().unwrap();
    let (all, _) =
        (tokio::join!(register(&commands), register(&commands), register(&commands)), ());
    let operators = [&all.0.1, &all.1.1, &all.2.1].map(operator);
    assert_eq!(operators.iter().filter(|is| **is).count(), 1, "{operators:?}");
    assert!(!operator(&register(&commands).await.1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_installation_is_not_good() {
    let corner = corner().await;
    let commands = Commands::start(&corner).await;
    let other = User::sign_up(&Commands::start(&crate::corner().await).await.url).await;
    // The same secret signs both, but the session is not known here.
    assert_eq!(status(&commands, &other.token).await, 401);
}
