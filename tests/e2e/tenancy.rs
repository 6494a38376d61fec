//! Who may do what: every route of the OpenAPI document, as everybody, against a table.

use std::collections::BTreeSet;

use pulsetrail_harness::{User, http_client};
use pulsetrail_infra::store::Store;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::corner;

/// What stands for something of the organization's that is new with each request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Nothing,
    Monitor,
    Key,
    Invitation,
    Member,
    Organization,
    Annotation,
    /// Something that does not exist.
    Unknown,
}
use Thing::{Annotation, Invitation, Key, Member, Monitor, Nothing, Organization, Unknown};

/// A route, what its path names, and the status that each one gets: a stranger, the owner of another
/// organization, and this one's viewer, editor and owner, and who runs the installation.
type Row = (&'static str, &'static str, Thing, [u16; 6]);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("post", "/api/v1/auth/register", Nothing, [201, 201, 201, 201, 201, 201]),
    ("post", "/api/v1/auth/login", Nothing, [401, 401, 401, 401, 401, 401]),
    ("post", "/api/v1/auth/refresh", Nothing, [401, 401, 401, 401, 401, 401]),
    ("post", "/api/v1/auth/logout", Nothing, [401, 204, 204, 204, 204, 204]),
    ("get", "/api/v1/me", Nothing, [401, 200, 200, 200, 200, 200]),
    // The password in the body is wrong.
    ("delete", "/api/v1/me", Nothing, [401, 401, 401, 401, 401, 401]),
    ("put", "/api/v1/me/password", Nothing, [401, 401, 401, 401, 401, 401]),
    ("get", "/api/v1/organizations", Nothing, [401, 200, 200, 200, 200, 200]),
    ("post", "/api/v1/organizations/{id}/switch", Organization, [401, 404, 200, 200, 200, 404]),
    ("get", "/api/v1/members", Nothing, [401, 200, 200, 200, 200, 200]),
    ("patch", "/api/v1/members/{id}", Member, [401, 404, 403, 403, 200, 404]),
    ("delete", "/api/v1/members/{id}", Member, [401, 404, 403, 403, 204, 404]),
    ("post", "/api/v1/invitations", Nothing, [401, 201, 403, 403, 201, 201]),
    ("get", "/api/v1/invitations", Nothing, [401, 200, 403, 403, 200, 200]),
    ("delete", "/api/v1/invitations/{id}", Invitation, [401, 404, 403, 403, 204, 404]),
    // The token in the body is nobody's.
    ("post", "/api/v1/invitations/accept", Nothing, [401, 404, 404, 404, 404, 404]),
    ("post", "/api/v1/api-keys", Nothing, [401, 201, 403, 403, 201, 201]),
    ("get", "/api/v1/api-keys", Nothing, [401, 200, 403, 403, 200, 200]),
    ("delete", "/api/v1/api-keys/{id}", Key, [401, 404, 403, 403, 204, 404]),
    ("post", "/api/v1/monitors", Nothing, [401, 201, 403, 201, 201, 201]),
    ("get", "/api/v1/monitors", Nothing, [401, 200, 200, 200, 200, 200]),
    ("post", "/api/v1/monitors/bulk", Nothing, [401, 200, 403, 200, 200, 200]),
    ("get", "/api/v1/monitors/{id}", Monitor, [401, 404, 200, 200, 200, 404]),
    ("patch", "/api/v1/monitors/{id}", Monitor, [401, 404, 403, 200, 200, 404]),
    ("delete", "/api/v1/monitors/{id}", Monitor, [401, 404, 403, 204, 204, 404]),
    ("post", "/api/v1/monitors/{id}/pause", Monitor, [401, 404, 403, 200, 200, 404]),
    ("post", "/api/v1/monitors/{id}/resume", Monitor, [401, 404, 403, 200, 200, 404]),
    ("post", "/api/v1/monitors/{id}/check", Monitor, [401, 404, 403, 202, 202, 404]),
    // The monitor is no heartbeat.
    ("post", "/api/v1/monitors/{id}/heartbeat-token", Monitor, [401, 404, 403, 409, 409, 404]),
    // The token is nobody's.
    ("get", "/hb/{token}", Unknown, [404, 404, 404, 404, 404, 404]),
    ("post", "/hb/{token}", Unknown, [404, 404, 404, 404, 404, 404]),
    ("get", "/hb/{token}/{outcome}", Unknown, [404, 404, 404, 404, 404, 404]),
    ("post", "/hb/{token}/{outcome}", Unknown, [404, 404, 404, 404, 404, 404]),
    ("get", "/api/v1/monitors/{id}/checks", Monitor, [401, 404, 200, 200, 200, 404]),
    ("get", "/api/v1/monitors/{id}/events", Monitor, [401, 404, 200, 200, 200, 404]),
    ("get", "/api/v1/monitors/{id}/uptime", Monitor, [401, 404, 200, 200, 200, 404]),
    ("post", "/api/v1/monitors/{id}/annotations", Monitor, [401, 404, 403, 201, 201, 404]),
    ("get", "/api/v1/monitors/{id}/annotations", Monitor, [401, 404, 200, 200, 200, 404]),
    ("delete", "/api/v1/monitors/{id}/annotations/{annotation_id}", Annotation, [401, 404, 403, 204, 204, 404]),
    ("get", "/api/v1/monitors/{id}/outages", Monitor, [401, 404, 200, 200, 200, 404]),
    ("get", "/api/v1/monitors/{id}/latency", Monitor, [401, 404, 200, 200, 200, 404]),
    ("get", "/api/v1/events/density", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/v1/outages", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/v1/uptime", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/v1/egress/policy", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/v1/egress/blocks", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/v1/system", Nothing, [401, 403, 403, 403, 403, 200]),
    ("get", "/api/v1/public/system", Nothing, [200, 200, 200, 200, 200, 200]),
    // No WebSocket is asked for.
    ("get", "/api/v1/live", Nothing, [401, 400, 400, 400, 400, 400]),
    ("get", "/api/v1/live/sse", Nothing, [401, 200, 200, 200, 200, 200]),
    ("post", "/api/v1/live/tickets", Nothing, [401, 201, 201, 201, 201, 201]),
    ("get", "/api/v1/dead-letters", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/v1/dead-letters/{id}", Unknown, [401, 404, 404, 404, 404, 404]),
    ("post", "/api/v1/dead-letters/{id}/retry", Unknown, [401, 404, 403, 404, 404, 404]),
    ("post", "/api/websites", Nothing, [401, 201, 403, 201, 201, 201]),
    ("get", "/api/websites", Nothing, [401, 200, 200, 200, 200, 200]),
    ("get", "/api/websites/{id}", Monitor, [401, 404, 200, 200, 200, 404]),
    ("delete", "/api/websites/{id}", Monitor, [401, 404, 403, 204, 204, 404]),
    ("post", "/monitors/{id}/check", Monitor, [401, 404, 403, 202, 202, 404]),
];

const PASSWORD: &str = "correct horse battery";

/// A body that a route takes.
fn body(method: &str, path: &str) -> Value {
    let email = format!("{}@example.com", Uuid::new_v4());
    let monitor = json!({"url": "https://example.com"});
    match (method, path) {
        ("post", "/api/v1/auth/register" | "/api/v1/auth/login") => {
            json!({"email": email, "password": PASSWORD})
        }
        ("post", "/api/v1/auth/refresh") => json!({"refresh_token": "nobody's"}),
        ("delete", "/api/v1/me") => json!({"password": "wrong horse battery"}),
        ("put", "/api/v1/me/password") => {
            json!({"current_password": "wrong horse battery", "new_password": PASSWORD})
        }
        ("patch", "/api/v1/members/{id}") => json!({"role": "viewer"}),
        ("post", "/api/v1/invitations") => json!({"email": email, "role": "viewer"}),
        ("post", "/api/v1/invitations/accept") => json!({"token": "nobody's"}),
        ("post", "/api/v1/api-keys") => json!({"name": "key", "role": "viewer"}),
        ("post", "/api/v1/monitors" | "/api/websites") => monitor,
        ("post", "/api/v1/monitors/bulk") => {
            json!({"operations": [{"action": "register", "monitor": monitor}]})
        }
        ("post", "/api/v1/monitors/{id}/annotations") => {
            json!({"from": "2026-07-01T08:00:00Z", "to": "2026-07-01T09:00:00Z", "kind": "note"})
        }
        ("patch", "/api/v1/monitors/{id}") => json!({"name": "another"}),
        _ => json!({}),
    }
}

/// Somebody who has joined another's organization.
async fn joined(owner: &User, role: &str) -> (User, String) {
    let email = format!("{}@example.com", Uuid::new_v4());
    let account = json!({"email": email, "password": PASSWORD});
    let someone = owner.with_token("", "");
    let session = someone.post("/api/v1/auth/register", &account).await.body;
    let someone = someone.with_token(session["access_token"].as_str().unwrap(), "");
    let invited = owner.post("/api/v1/invitations", &json!({"email": email, "role": role})).await;
    let token = json!({"token": invited.body["token"]});
    assert_eq!(someone.post("/api/v1/invitations/accept", &token).await.status, 200);
    let id = session["user"]["id"].as_str().unwrap().to_owned();
    (there(&someone, &owner.organization).await, id)
}

/// The same person in a session of its own in an organization.
async fn there(someone: &User, organization: &str) -> User {
    let switch = format!("/api/v1/organizations/{organization}/switch");
    let session = someone.post(&switch, &json!({})).await.body;
    someone.with_token(session["access_token"].as_str().unwrap(), organization)
}

/// The ids of something new of the owner's, with what its path has between them.
async fn new_thing(owner: &User, thing: Thing) -> String {
    let made = match thing {
        Nothing => return String::new(),
        Unknown => return Uuid::now_v7().to_string(),
        Organization => return owner.organization.clone(),
        Annotation => {
            let route = "/api/v1/monitors/{id}/annotations";
            let monitor = Box::pin(new_thing(owner, Monitor)).await;
            let path = route.replace("{id}", &monitor);
            let made = owner.post(&path, &body("post", route)).await;
            let annotation = made.body["id"].as_str().unwrap_or_else(|| panic!("{}", made.body));
            return format!("{monitor}/annotations/{annotation}");
        }
        Member => return joined(owner, "viewer").await.1,
        Monitor => owner.post("/api/v1/monitors", &json!({"url": "https://example.com"})).await,
        Key => owner.post("/api/v1/api-keys", &json!({"name": "key", "role": "viewer"})).await,
        Invitation => owner.post("/api/v1/invitations", &body("post", "/api/v1/invitations")).await,
    };
    made.body["id"].as_str().unwrap_or_else(|| panic!("{}", made.body)).to_owned()
}

/// A path with the ids that it names.
fn filled(path: &str, id: &str) -> String {
    path.replace("{id}/annotations/{annotation_id}", id).replace("{id}", id)
}

/// The status alone: some answers never end.
async fn status(user: &User, method: &str, path: &str, body: &Value) -> u16 {
    let method: Method = method.to_uppercase().parse().unwrap();
    let mut request = http_client().request(method.clone(), format!("{}{path}", user.url));
    if !user.token.is_empty() {
        request = request.bearer_auth(&user.token);
    }
    if method != Method::GET {
        request = request.json(body);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let app = corner().await.start().await;
    let operator = User::sign_up(&app.url).await;
    let owner = User::sign_up(&app.url).await;
    let another = User::sign_up(&app.url).await;
    let (editor, _) = joined(&owner, "editor").await;
    let (viewer, _) = joined(&owner, "viewer").await;
    let stranger = another.with_token("", "");

    let document = stranger.get("/api/openapi.json").await.body;
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        documented.extend(item.as_object().unwrap().keys().map(|m| (m.clone(), path.clone())));
    }
    let listed: BTreeSet<_> =
        TABLE.iter().map(|row| (row.0.to_owned(), row.1.to_owned())).collect();
    assert_eq!(documented, listed, "left the document, right the table");

    let mut wrong = Vec::new();
    for (method, path, thing, expected) in TABLE {
        let everybody = [&stranger, &another, &viewer, &editor, &owner, &operator];
        for (user, expected) in everybody.into_iter().zip(expected) {
            let id = new_thing(&owner, *thing).await;
            // A session that may end.
            let user = if path.ends_with("/logout") && !user.token.is_empty() {
                &there(user, &user.organization).await
            } else {
                user
            };
            let at = filled(path, &id);
            let got = status(user, method, &at, &body(method, path)).await;
            if got != *expected {
                wrong.push(format!("{method} {path}: {got}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everything that people can change, as one text.
async fn everything(store: &Store) -> String {
    let digest = "select md5(
        (select string_agg(position::text, ',' order by position) from events
         where aggregate_type in ('monitor', 'account', 'organization', 'annotation')) ||
        (select string_agg(users::text, ',' order by user_id) from users) ||
        (select string_agg(members::text, ',' order by members::text) from members) ||
        (select coalesce(string_agg(invitations::text, ',' order by invitation_id), '') from invitations) ||
        (select coalesce(string_agg(revoked_at::text, ',' order by session_id), '') from sessions) ||
        (select coalesce(string_agg(revoked_at::text, ',' order by api_key_id), '') from api_keys))";
    sqlx::query_scalar(digest).fetch_one(&store.read).await.unwrap()
}

/// Fields that nobody sets from outside are refused wherever they are tried, and nothing happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_changes_what_it_must_not() {
    let corner = corner().await;
    let app = corner.start().await;
    let (owner, store) = (User::sign_up(&app.url).await, corner.store().await);
    let fields =
        ["organization_id", "role", "position", "status", "operator", "user_id", "version"];
    for (method, route, thing, _) in TABLE {
        // A report's body is not read: whatever it says, it changes nothing.
        if *method == "get" || route.starts_with("/hb/") {
            continue;
        }
        let path = filled(route, &new_thing(&owner, *thing).await);
        let before = everything(&store).await;
        for field in fields {
            let mut body = body(method, route);
            if body.get(field).is_some() {
                continue;
            }
            body[field] = json!("owner");
            let got = status(&owner, method, &path, &body).await;
            assert_eq!(got, 422, "{method} {path} with {field}");
        }
        assert_eq!(everything(&store).await, before, "{method} {path}");
    }
    // Within what a body holds, too.
    let monitor = new_thing(&owner, Monitor).await;
    let path = format!("/api/v1/monitors/{monitor}");
    let before = everything(&store).await;
    for field in fields {
        let target = json!({"type": "http", "url": "https://example.com", field: "owner"});
        let whole = json!({"target": target});
        assert_eq!(status(&owner, "post", "/api/v1/monitors", &whole).await, 422, "{field}");
        assert_eq!(status(&owner, "patch", &path, &whole).await, 422, "{field}");
        let new = json!({"url": "https://example.com", field: "owner"});
        let call = json!({"operations": [{"action": "register", "monitor": new}]});
        let bulk = owner.post("/api/v1/monitors/bulk", &call).await;
        assert_eq!(bulk.body["items"][0]["status"], 422, "{field}: {}", bulk.body);
    }
    assert_eq!(everything(&store).await, before);
    // What is let through is seen.
    assert_eq!(status(&owner, "patch", &path, &json!({"name": "another"})).await, 200);
    assert_ne!(everything(&store).await, before);
}
