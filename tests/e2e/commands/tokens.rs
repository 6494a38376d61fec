//! Tokens that open nothing: forged ones, and good ones whose time is over.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Commands;
use super::access::{PASSWORD, register, request, text};
use crate::corner;

/// What the server under test signs with.
const SECRET: [u8; 32] = [7; 32];

/// What a good token says, and how it is signed.
#[derive(Clone)]
struct Token {
    header: Header,
    claims: BTreeMap<String, Value>,
    secret: [u8; 32],
}

impl Token {
    fn like(token: &str) -> Self {
        let header = decode_header(token).unwrap();
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.set_issuer(&["pulsetrail"]);
        let key = jsonwebtoken::DecodingKey::from_secret(&SECRET);
        let claims = jsonwebtoken::decode(token, &key, &validation).unwrap().claims;
        Self { header, claims, secret: SECRET }
    }

    fn with(mut self, claim: &str, value: Value) -> Self {
        self.claims.insert(claim.to_owned(), value);
        self
    }

    fn without(mut self, claim: &str) -> Self {
        self.claims.remove(claim);
        self
    }

    fn header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    fn signed(&self) -> String {
        encode(&self.header, &self.claims, &EncodingKey::from_secret(&self.secret)).unwrap()
    }
}

/// What each of some requests is answered with.
async fn statuses(commands: &Commands, token: &str) -> [u16; 3] {
    let monitor = json!({"url": "https://example.com"});
    [
        request(commands, Method::GET, "me", token, &Value::Null).await.status.as_u16(),
        request(commands, Method::GET, "members", token, &Value::Null).await.status.as_u16(),
        request(commands, Method::POST, "monitors", token, &monitor).await.status.as_u16(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_not_given_or_is_not_good_now_opens_nothing() {
    let commands = Commands::start(&corner().await).await;
    let (_, session) = register(&commands).await;
    let (_, other) = register(&commands).await;
    let given = text(&session["access_token"]);
    let good = Token::like(&given);
    let now = chrono::Utc::now().timestamp();
    let (_, unsigned) = (0, given.rsplit_once('.').unwrap().0.to_owned());
    let claims = unsigned.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"JWT"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let forged = [
        ("no signature", format!("{unsigned}.")),
        ("alg none", none.clone()),
        ("alg none with a signature", format!("{none}{}", given.rsplit('.').next().unwrap())),
        ("another key", Token { secret: [8; 32], ..good.clone() }.signed()),
        ("another algorithm", good.clone().header(|h| h.alg = Algorithm::HS512).signed()),
        ("no key named", good.clone().header(|h| h.kid = None).signed()),
        ("an unknown key named", good.clone().header(|h| h.kid = Some("a".into())).signed()),
        ("expired", good.clone().with("exp", json!(now - 60)).signed()),
        ("without an end", good.clone().without("exp").signed()),
        ("not yet valid", good.clone().with("nbf", json!(now + 60)).signed()),
        ("without a beginning", good.clone().without("nbf").signed()),
        ("another issuer", good.clone().with("iss", json!("another")).signed()),
        ("an unknown session", good.clone().with("sid", json!(Uuid::new_v4())).signed()),
        ("another person", good.clone().with("sub", other["user"]["id"].clone()).signed()),
        (
            "another's organization",
            good.clone().with("org", other["organization"]["id"].clone()).signed(),
        ),
        ("cut short", given[..given.len() - 3].to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in forged {
        assert_eq!(statuses(&commands, &token).await, [401; 3], "{what}");
    }
    assert_eq!(commands.events().await, 0);
    // Made in the same way with nothing wrong, a token is good.
    let made = good.with("exp", json!(now + 60)).signed();
    assert_ne!(made, given);
    assert_eq!(statuses(&commands, &made).await, [200, 200, 201]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_with_its_session_and_with_its_person() {
    let commands = Commands::start(&corner().await).await;
    let (email, session) = register(&commands).await;
    let first = text(&session["access_token"]);
    assert_eq!(statuses(&commands, &first).await, [200, 200, 201]);
    request(&commands, Method::POST, "auth/logout", &first, &json!({})).await;
    assert_eq!(statuses(&commands, &first).await, [401; 3], "signed out");

    let login = json!({"email": email, "password": PASSWORD});
    let second = request(&commands, Method::POST, "auth/login", "", &login).await.body;
    let second = text(&second["access_token"]);
    assert_eq!(statuses(&commands, &second).await, [200, 200, 201]);
    let erased =
        request(&commands, Method::DELETE, "me", &second, &json!({"password": PASSWORD})).await;
    assert_eq!(erased.status, 204, "{}", erased.body);
    assert_eq!(statuses(&commands, &second).await, [401; 3], "erased");
}
