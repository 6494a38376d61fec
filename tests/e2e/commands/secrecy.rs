//! What the log says of people: that they did something, and nothing of who they are or what they know.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::Commands;
use super::access::{PASSWORD, register, request, text};
use crate::corner;

/// What nobody may read out of the log, with what it is.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &Value) {
        self.0.push((what, text(secret)));
    }

    /// Every hash that the tables have now, as texts write bytes.
    async fn add_hashes(&mut self, pool: &PgPool) {
        let hashes: Vec<String> = sqlx::query_scalar(
            "select password_hash from users
             union all select encode(hash, form)
             from (select secret_hash as hash from api_keys
                   union all select refresh_hash from sessions
                   union all select token_hash from invitations) as hashes,
                  unnest(array['hex', 'base64']) as form",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        assert!(hashes.len() >= 2 + 2 * 4, "{}", hashes.len());
        self.0.extend(hashes.into_iter().map(|hash| ("a hash", hash)));
    }

    /// Those that the log has somewhere.
    async fn in_the_log(&self, pool: &PgPool) -> Vec<&'static str> {
        let log: String = sqlx::query_scalar("select string_agg(events::text, ' ') from events")
            .fetch_one(pool)
            .await
            .unwrap();
        self.0.iter().filter(|(_, secret)| log.contains(secret)).map(|(what, _)| *what).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_do_is_in_the_log_without_who_they_are_and_what_they_know() {
    let commands = Commands::start(&corner().await).await;
    let ((own, owner), (others, guest)) = (register(&commands).await, register(&commands).await);
    let token = text(&owner["access_token"]);
    let done = async |method: Method, path: &str, token: &str, body: Value| {
        let answer = request(&commands, method, path, token, &body).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
        answer.body
    };
    let mut secrets = Secrets(vec![("a password", PASSWORD.to_owned())]);
    for (email, session) in [(&own, &owner), (&others, &guest)] {
        secrets.add("an address", &json!(email));
        secrets.add("an access token", &session["access_token"]);
        secrets.add("a refresh token", &session["refresh_token"]);
        secrets.add("an organization's name", &session["organization"]["name"]);
    }
    let key = json!({"name": "deploys of the shop", "role": "editor"});
    let key = done(Method::POST, "api-keys", &token, key).await;
    secrets.add("a key", &key["secret"]);
    let invitation = json!({"email": others, "role": "viewer"});
    let invitation = done(Method::POST, "invitations", &token, invitation).await;
    secrets.add("an invitation", &invitation["token"]);
    secrets.add_hashes(&commands.store.read).await;

    let accept = json!({"token": invitation["token"]});
    let guests = text(&guest["access_token"]);
    done(Method::POST, "invitations/accept", &guests, accept).await;
    let member = format!("members/{}", text(&guest["user"]["id"]));
    done(Method::PATCH, &member, &token, json!({"role": "owner"})).await;
    done(Method::DELETE, &member, &token, Value::Null).await;
    let key = format!("api-keys/{}", text(&key["id"]));
    done(Method::DELETE, &key, &token, Value::Null).await;
    let change = json!({"current_password": PASSWORD, "new_password": "staple battery"});
    done(Method::PUT, "me/password", &guests, change).await;
    let refresh = json!({"refresh_token": guest["refresh_token"]});
    done(Method::POST, "auth/refresh", "", refresh.clone()).await;
    let reused = request(&commands, Method::POST, "auth/refresh", "", &refresh).await;
    assert_eq!(reused.status, StatusCode::UNAUTHORIZED);
    done(Method::DELETE, "me", &token, json!({"password": PASSWORD})).await;

    let names: Vec<String> =
        [commands.events_of("account").await, commands.events_of("organization").await].concat();
    for name in [
        "AccountRegistered",
        "PasswordChanged",
        "RefreshTokenReused",
        "AccountErased",
        "OrganizationCreated",
        "ApiKeyCreated",
        "ApiKeyRevoked",
        "MemberInvited",
        "MemberJoined",
        "MemberRoleChanged",
        "MemberRemoved",
        "OrganizationErased",
    ] {
        assert!(names.iter().any(|event| event == name), "no {name} in {names:?}");
    }
    assert_eq!(secrets.in_the_log(&commands.store.read).await, Vec::<&str>::new());
    // An event that said who somebody is would be seen.
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, organization_id, event_type,
                             event_version, payload, metadata)
         values ('account', 'a', 1, gen_random_uuid(), 'AccountRegistered', '1.0', '{}',
                 json_build_object('email', $1::text))",
    )
    .bind(&others)
    .execute(&commands.store.write)
    .await
    .unwrap();
    assert_eq!(secrets.in_the_log(&commands.store.read).await, ["an address"]);
}
