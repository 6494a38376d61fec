//! `Idempotency-Key`: a registration that is sent again meets itself.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use pulsetrail_domain::{MonitorId, OrganizationId};
use pulsetrail_infra::http::Problem;
use uuid::Uuid;

/// The namespace of the version 5 UUIDs of monitors that were registered with a key.
const MONITOR_NAMESPACE: Uuid = Uuid::from_u128(0x2d0f_7c64_9a1b_5e3c_8d47_61b0_52f9_e8a3);
/// Registration's route. Its short form is the same operation.
const ROUTE: &[u8] = b"POST /api/v1/monitors";
/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// The key that a request carries, if it carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// The id of the monitor that is registered with the key; none without a key.
    pub(super) fn monitor_id(&self, organization_id: OrganizationId) -> Option<MonitorId> {
        let key = self.0.as_ref()?;
        let mut name = Vec::with_capacity(16 + ROUTE.len() + 1 + key.len());
        name.extend_from_slice(organization_id.0.as_bytes());
        name.extend_from_slice(ROUTE);
        name.push(0);
        name.extend_from_slice(key.as_bytes());
        Some(MonitorId(Uuid::new_v5(&MONITOR_NAMESPACE, &name)))
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

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key(text: &str) -> Result<IdempotencyKey, u16> {
        let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
        IdempotencyKey::of(&HeaderMap::from_iter([("idempotency-key".parse().unwrap(), value)]))
            .map_err(|problem| problem.status)
    }

    #[test]
    fn the_same_key_is_the_same_monitor_in_one_organization_alone() {
        let organization = |number| OrganizationId(Uuid::from_u128(number));
        let id = key("a").unwrap().monitor_id(organization(1)).unwrap();
        assert_eq!(key("a").unwrap().monitor_id(organization(1)), Some(id));
        assert_ne!(key("b").unwrap().monitor_id(organization(1)), Some(id));
        assert_ne!(key("a").unwrap().monitor_id(organization(2)), Some(id));
        assert_eq!(id.0.get_version_num(), 5);
        assert_eq!(IdempotencyKey(None).monitor_id(organization(1)), None);
    }

    #[test]
    fn the_id_of_a_key_never_changes() {
        let id = key("first").unwrap().monitor_id(OrganizationId(Uuid::from_u128(7)));
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
}
