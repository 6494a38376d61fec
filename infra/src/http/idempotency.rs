//! `Idempotency-Key`: a request that is sent again meets itself.
//!
//! An effect gets its id from the key, so that a second one runs into the first whatever crashed in
//! between; and the first body that comes with a key is kept, so that another one is refused.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use pulsetrail_domain::{OrganizationId, Timestamp};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Problem;
use crate::secrets::Keyring;

/// The namespace of the version 5 UUIDs of what is made with a key.
const NAMESPACE: Uuid = Uuid::from_u128(0x2d0f_7c64_9a1b_5e3c_8d47_61b0_52f9_e8a3);
/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// The key that a request carries, if it carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// The id of what is made with the key; none without a key.
    #[must_use]
    pub fn id(&self, organization_id: OrganizationId, route: &str) -> Option<Uuid> {
        self.item_id(organization_id, route, None)
    }

    /// The id of one of several things that are made with the key.
    #[must_use]
    pub fn item_id(
        &self,
        organization_id: OrganizationId,
        route: &str,
        index: Option<usize>,
    ) -> Option<Uuid> {
        let key = self.0.as_ref()?;
        let mut name = Vec::with_capacity(16 + route.len() + 1 + key.len());
        name.extend_from_slice(organization_id.0.as_bytes());
        name.extend_from_slice(route.as_bytes());
        name.push(0);
        name.extend_from_slice(key.as_bytes());
        if let Some(index) = index {
            // No key has a NUL: an item of one request is no other request.
            name.push(0);
            name.extend_from_slice(&index.to_be_bytes());
        }
        Some(Uuid::new_v5(&NAMESPACE, &name))
    }

    /// Keeps the body that came with the key, the first time, and says when that was; none without a
    /// key.
    ///
    /// # Errors
    /// 422 where another body came with it before.
    pub async fn claim(
        &self,
        pool: &PgPool,
        organization_id: OrganizationId,
        route: &str,
        body: &BodyHash,
    ) -> Result<Option<Timestamp>, Problem> {
        let Some(key) = &self.0 else { return Ok(None) };
        // Keys are kept for a week; a few old ones go with each new one.
        let (first, at): (Vec<u8>, Timestamp) = sqlx::query_as(
            "with old as (
                 delete from idempotency_keys where ctid = any(array(
                     select ctid from idempotency_keys
                     where created_at < clock_timestamp() - interval '7 days' limit 10
                     for update skip locked))
             )
             insert into idempotency_keys (organization_id, route, key, body_hash)
             values ($1, $2, $3, $4)
             on conflict (organization_id, route, key)
                 do update set body_hash = idempotency_keys.body_hash
             returning body_hash, created_at",
        )
        .bind(organization_id.0)
        .bind(route)
        .bind(key)
        .bind(body.to_keep())
        .fetch_one(pool)
        .await?;
        if body.is(&first) { Ok(Some(at)) } else { Err(Self::reused()) }
    }

    /// 422: the key came with another body before.
    #[must_use]
    pub fn reused() -> Problem {
        let detail = "The Idempotency-Key was used before, with another body.";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    }

    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| {
            (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte >= b' ')
        });
        match (key, values.next()) {
            (Some(key), None) => Ok(Self(Some(key.to_owned()))),
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "malformed_idempotency_key",
                "Idempotency-Key must be one text of 1 to 255 visible ASCII characters.",
            )),
        }
    }
}

/// The route of the notes of what was done.
const DONE: &str = "done";

/// Notes that a request was carried out that leaves no trace of its own. `mark` is the id that its key
/// leads to.
///
/// # Errors
/// When Postgres does not answer.
pub async fn note_done(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    mark: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into idempotency_keys (organization_id, route, key, body_hash)
         values ($1, $2, $3, '') on conflict (organization_id, route, key) do nothing",
    )
    .bind(organization_id.0)
    .bind(DONE)
    .bind(mark.to_string())
    .execute(executor)
    .await?;
    Ok(())
}

/// Whether a request was noted as carried out.
///
/// # Errors
/// When Postgres does not answer.
pub async fn is_done(
    executor: impl PgExecutor<'_>,
    organization_id: OrganizationId,
    mark: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from idempotency_keys
                        where organization_id = $1 and route = $2 and key = $3)",
    )
    .bind(organization_id.0)
    .bind(DONE)
    .bind(mark.to_string())
    .fetch_one(executor)
    .await
}

/// What a body's meaning is known by: neither the order of fields nor white space changes it. It is made
/// with the installation's key, so that a password in the body cannot be guessed from what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyHash {
    /// With each key, the newest first.
    with_each_key: Vec<Vec<u8>>,
}

impl BodyHash {
    /// That of a body.
    #[must_use]
    pub fn of(keyring: &Keyring, body: &Value) -> Self {
        let mut text = Zeroizing::new(String::new());
        write_canonical(body, &mut text);
        Self { with_each_key: keyring.fingerprints(text.as_bytes()) }
    }

    /// As it is kept.
    #[must_use]
    pub fn to_keep(&self) -> &[u8] {
        self.with_each_key.first().map_or(&[], Vec::as_slice)
    }

    /// Whether a body that was kept, with whichever of the keys, means the same.
    #[must_use]
    pub fn is(&self, kept: &[u8]) -> bool {
        self.with_each_key.iter().any(|hash| hash == kept)
    }
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            text.push('{');
            for name in names {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_canonical(fields.get(name).unwrap_or(&Value::Null), text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::json;

    use super::*;
    use crate::secrets::SecretText;

    const ROUTE: &str = "POST /api/v1/monitors";

    fn key(text: &str) -> Result<IdempotencyKey, u16> {
        let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
        IdempotencyKey::of(&HeaderMap::from_iter([("idempotency-key".parse().unwrap(), value)]))
            .map_err(|problem| problem.status)
    }

    #[test]
    fn the_same_key_is_the_same_thing_in_one_organization_and_on_one_route_alone() {
        let organization = |number| OrganizationId(Uuid::from_u128(number));
        let id = key("a").unwrap().id(organization(1), ROUTE).unwrap();
        assert_eq!(key("a").unwrap().id(organization(1), ROUTE), Some(id));
        assert_ne!(key("b").unwrap().id(organization(1), ROUTE), Some(id));
        assert_ne!(key("a").unwrap().id(organization(2), ROUTE), Some(id));
        assert_ne!(key("a").unwrap().id(organization(1), "POST /other"), Some(id));
        assert_ne!(key("a").unwrap().item_id(organization(1), ROUTE, Some(0)), Some(id));
        assert_eq!(id.get_version_num(), 5);
        assert_eq!(IdempotencyKey(None).id(organization(1), ROUTE), None);
    }

    #[test]
    fn the_id_of_a_key_never_changes() {
        let id = key("first").unwrap().id(OrganizationId(Uuid::from_u128(7)), ROUTE);
        assert_eq!(id.unwrap().to_string(), "42e9bcbc-08aa-5f0b-8447-a66b3575f546");
    }

    #[test]
    fn a_key_is_a_short_visible_text() {
        assert_eq!(IdempotencyKey::of(&HeaderMap::new()).unwrap(), IdempotencyKey(None));
        assert!(key(&"a".repeat(255)).is_ok());
        assert_eq!(key(""), Err(400));
        assert_eq!(key(&"a".repeat(256)), Err(400));
        assert_eq!(key("ä"), Err(400));
    }

    #[test]
    fn two_bodies_that_mean_the_same_are_the_same() {
        let keyring = keyring("a", &[]);
        let of = |text: &str| BodyHash::of(&keyring, &serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"a":1,"b":[{"c":2}]}"#), of(r#"{ "b": [ {"c":2} ], "a": 1 }"#));
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":2}"#));
        assert_ne!(of("[1,2]"), of("[12]"));
    }

    fn keyring(newest: &str, previous: &[&str]) -> Keyring {
        let text = |one: &&str| SecretText::from((*one).to_owned());
        let previous: Vec<SecretText> = previous.iter().map(text).collect();
        Keyring::new(&text(&newest), &previous).unwrap()
    }

    #[test]
    fn a_body_is_known_by_who_has_the_key_alone_and_after_it_was_replaced() {
        let body = json!({"password": "1234"});
        let before = BodyHash::of(&keyring("a", &[]), &body);
        let stranger = BodyHash::of(&keyring("b", &[]), &body);
        assert!(!stranger.is(before.to_keep()));
        assert!(BodyHash::of(&keyring("b", &["a"]), &body).is(before.to_keep()));
        let other = BodyHash::of(&keyring("b", &["a"]), &json!({"password": "1235"}));
        assert!(!other.is(before.to_keep()));
    }
}
