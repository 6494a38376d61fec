//! Who may do what in an organization: members, invitations, API keys.

pub(crate) mod api_keys;
pub(crate) mod invitations;
pub(crate) mod members;
pub(crate) mod organizations;

use pulsetrail_domain::Role;
use pulsetrail_infra::http::{Pagination, Problem};
use uuid::Uuid;

/// Where a list goes on: after the id in the cursor.
fn page(pagination: &Pagination) -> Result<(usize, Option<Uuid>), Problem> {
    let after = pagination.cursor.as_deref().map(Uuid::parse_str).transpose();
    let after = after.map_err(|_| Problem::bad_request("cursor is none that a list gave"))?;
    Ok((pagination.limit()?, after))
}

/// A person's name, a key's name: trimmed, 1 to 200 characters, none of them a control character.
fn good_name(name: &str) -> Option<String> {
    let name = name.trim();
    let good = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    good.then(|| name.to_owned())
}

/// The roles, for a message.
const ROLES: &str = "must be viewer, editor or owner";

fn role(name: &str) -> Option<Role> {
    Role::from_name(name)
}
