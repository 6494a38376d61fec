//! Who may do what in an organization: members, invitations, API keys.

pub(crate) mod api_keys;
pub(crate) mod invitations;
pub(crate) mod members;
pub(crate) mod organizations;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use pulsetrail_domain::Role;
use pulsetrail_domain::text::has_hidden_character;
use pulsetrail_infra::http::{Page, Pagination, Problem};
use uuid::Uuid;

/// A page of what `read` gives: those after an id, in the order of their ids, and so many at most.
async fn page<T>(
    pagination: &Pagination,
    id: impl Fn(&T) -> Uuid,
    read: impl AsyncFnOnce(Option<Uuid>, i64) -> Result<Vec<T>, sqlx::Error>,
) -> Result<Json<Page<T>>, Problem> {
    let after = pagination.cursor.as_deref().map(Uuid::parse_str).transpose();
    let after = after.map_err(|_| Problem::bad_request("cursor is none that a list gave"))?;
    let limit = pagination.limit()?;
    let items = read(after, limit as i64 + 1).await?;
    Ok(Json(Page::new(items, limit, |item| id(item).to_string())))
}

/// What was made, with a secret that is told this once: nobody on the way keeps it.
type ToldOnce<T> = (StatusCode, [(HeaderName, HeaderValue); 1], Json<T>);

fn told_once<T>(made: T) -> ToldOnce<T> {
    let unkept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::CREATED, unkept, Json(made))
}

/// The answer to who takes something away.
fn taken_away(was_there: bool) -> Result<StatusCode, Problem> {
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}

/// What is asked of a name.
pub(crate) const NAME: &str = "must have 1 to 200 characters, none of them invisible";

/// A person's name, a key's name: trimmed, 1 to 200 characters, each of which is seen.
pub(crate) fn good_name(name: &str) -> Option<String> {
    let name = name.trim();
    let good = (1..=200).contains(&name.chars().count()) && !has_hidden_character(name);
    good.then(|| name.to_owned())
}

/// The roles, for a message.
const ROLES: &str = "must be viewer, editor or owner";

fn role(name: &str) -> Option<Role> {
    Role::from_name(name)
}
