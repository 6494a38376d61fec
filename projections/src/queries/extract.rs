//! Parameters of a request, parsed once at the edge.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use pulsetrail_domain::MonitorId;
use pulsetrail_infra::http::{Pagination, Problem};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Query parameters. One that `T` does not know, or that is not of its form, is 400.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

/// A route without query parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoParameters {}

/// The monitor that the path names; what is no id names none.
pub(super) struct MonitorPath(pub(super) MonitorId);

impl<S: Send + Sync> FromRequestParts<S> for MonitorPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_rejection| Problem::not_found())?;
        id.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

/// How many items a page of a list has.
pub(super) fn page_limit(limit: Option<usize>) -> Result<usize, Problem> {
    Pagination { limit, cursor: None }.limit()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Example {
        limit: Option<usize>,
    }

    async fn example(uri: &str) -> Result<Example, u16> {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        let parameters = Parameters::<Example>::from_request_parts(&mut parts, &()).await;
        parameters.map(|parameters| parameters.0).map_err(|problem| problem.status)
    }

    #[tokio::test]
    async fn a_parameter_that_is_not_known_or_not_well_formed_is_refused() {
        assert_eq!(example("/").await, Ok(Example { limit: None }));
        assert_eq!(example("/?limit=5").await, Ok(Example { limit: Some(5) }));
        for uri in ["/?limt=5", "/?limit=five", "/?limit=-1", "/?limit=1&limit=2"] {
            assert_eq!(example(uri).await, Err(400), "{uri}");
        }
    }

    #[test]
    fn a_page_has_at_least_one_and_at_most_a_thousand_items() {
        assert_eq!(page_limit(None).unwrap(), 100);
        assert_eq!(page_limit(Some(1_000)).unwrap(), 1_000);
        assert!(page_limit(Some(0)).is_err());
        assert!(page_limit(Some(1_001)).is_err());
    }
}
